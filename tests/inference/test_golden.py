"""What golden samples expect, compared with what came."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inference.golden import Observed, differences, iou

CLASSES = {
    "kind": "classification",
    "classes": [
        {"index": 2, "label": "cat", "score": 0.7},
        {"index": 5, "label": "dog", "score": 0.2},
    ],
}
OBJECTS = {
    "kind": "detection",
    "objects": [
        {"label": "face", "score": 0.9, "box": [0.1, 0.1, 0.5, 0.5]},
        {"label": "face", "score": 0.4, "box": [0.6, 0.6, 0.9, 0.9]},
    ],
}
VOICE = {"kind": "voice", "speech": True, "segments": [{"start_s": 0.5, "end_s": 1.5}]}

HOLDS: list[tuple[Any, dict[str, Any]]] = [
    (CLASSES, {"kind": "classification"}),
    (None, {"nothing": True}),
    (CLASSES, {"nothing": False}),
    (CLASSES, {"rows": 3}),
    (CLASSES, {"top": [2, 9]}),
    (CLASSES, {"top": "cat"}),
    (CLASSES, {"classes": [{"label": "dog", "min_score": 0.2, "max_score": 0.2}, {"index": 2}]}),
    (OBJECTS, {"objects": [{"box": [0.1, 0.1, 0.5, 0.45]}], "count": 2}),
    (OBJECTS, {"objects": [{"label": "face", "min_score": 0.8}, {"label": "face", "min_score": 0.3}]}),
    (VOICE, {"speech": True, "segments": [{"start_s": 0.45, "end_s": 1.55}]}),
    (
        CLASSES,
        {"values": {"classes.0.score": 0.7004, "classes.1.score": [0.1, 0.3], "kind": "classification"}},
    ),
    (VOICE, {"values": {"speech": True}}),
    (CLASSES, {"values": {"classes.0.score": 0.5}, "tolerance": 0.2}),
]

FAILS: list[tuple[Any, dict[str, Any], str]] = [
    (CLASSES, {"kind": "voice"}, "kind: expected voice, got classification"),
    (CLASSES, {"nothing": True}, "nothing: expected True, got False"),
    (None, {"kind": "voice"}, "kind: expected voice, got None"),
    (CLASSES, {"rows": 2}, "rows: expected 2 model runs, got 3"),
    (CLASSES, {"top": [5, "dog"]}, "top: expected one of 5, dog, got 2 cat 0.700"),
    (VOICE, {"top": [5]}, "top: no classes came"),
    (CLASSES, {"classes": [{"label": "cow"}]}, "classes: cow is not among 2 cat 0.700, 5 dog 0.200"),
    (CLASSES, {"classes": [{"label": "dog", "min_score": 0.5}]}, "classes: expected dog between 0.5 and 1"),
    (
        OBJECTS,
        {"objects": [{"box": [0.1, 0.1, 0.5, 0.2]}]},
        "objects: no object left for .*best overlap 0.25",
    ),
    (OBJECTS, {"objects": [{"label": "face", "min_score": 0.8}] * 2}, "objects: no object left"),
    (OBJECTS, {"count": 1}, "count: expected 1 objects, got 2"),
    (VOICE, {"speech": False}, "speech: expected False, got True"),
    (VOICE, {"segments": []}, "segments: expected 0, got 1"),
    (VOICE, {"segments": [{"start_s": 0.5, "end_s": 1.7}]}, r"segments: 0\.end_s: expected 1\.7, got 1\.5"),
    (CLASSES, {"values": {"classes.0.score": 0.71}}, r"values: classes\.0\.score: expected 0\.71, got 0\.7"),
    (CLASSES, {"values": {"no.such": 1}}, r"values: no\.such: expected 1, got None"),
    (VOICE, {"values": {"speech": 1}}, "values: speech: expected 1, got True"),
    (CLASSES, {}, "holds no condition"),
    (CLASSES, {"tolerance": 0.1}, "holds no condition"),
    (CLASSES, {"tolerance": float("nan"), "rows": 3}, "tolerance: nan is not a tolerance"),
    (CLASSES, {"labels": ["cat"]}, "labels: unknown; known are classes, count"),
    (CLASSES, {"classes": 7}, "classes: cannot be compared: TypeError"),
]


@pytest.mark.parametrize(("prediction", "expect"), HOLDS)
def test_an_expectation_that_is_met_leaves_no_difference(prediction: Any, expect: dict[str, Any]) -> None:
    assert differences(expect, Observed(prediction, rows=3)) == ()


@pytest.mark.parametrize(("prediction", "expect", "what"), FAILS)
def test_an_expectation_that_is_not_met_says_what_was_wanted_and_what_came(
    prediction: Any, expect: dict[str, Any], what: str
) -> None:
    found = differences(expect, Observed(prediction, rows=3))
    assert len(found) == 1
    assert re.search(what, found[0])


@pytest.mark.parametrize(
    ("got", "what"),
    [
        (np.array([[0.5, 1.0]], np.float32), None),
        (np.array([[0.5, 1.02]], np.float32), "y: differs by up to 0.02, allowed 0.01"),
        (np.array([[0.5, np.nan]], np.float32), "y: differs by up to nan"),
        (np.array([0.5, 1.0], np.float32), r"y: expected shape \(1, 2\), got \(2,\)"),
    ],
)
def test_raw_outputs_are_compared_within_the_tolerance(got: np.ndarray[Any, Any], what: str | None) -> None:
    wanted = {"y": np.array([[0.5, 1.0]], np.float32)}
    found = differences({"outputs": "file.npz", "tolerance": 0.01}, Observed(None, 1, {"y": got}, wanted))
    assert [bool(what)] == [bool(found)]
    if what:
        assert re.search(what, found[0])


def test_every_key_that_fails_is_told() -> None:
    found = differences({"kind": "voice", "top": [9], "rows": 1}, Observed(CLASSES, rows=3))
    assert [sentence.split(":")[0] for sentence in found] == ["kind", "top", "rows"]


@given(
    expect=st.dictionaries(
        st.sampled_from(
            [
                "kind",
                "nothing",
                "rows",
                "top",
                "classes",
                "objects",
                "count",
                "speech",
                "segments",
                "values",
                "outputs",
                "tolerance",
                "x",
            ]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["box", "label", "score", "iou", "start_s", "a.b"]), inner, max_size=3
                )
            ),
            max_leaves=8,
        ),
    ),
    prediction=st.sampled_from([None, CLASSES, OBJECTS, VOICE]),
)
def test_whatever_a_card_expects_gives_sentences_and_never_an_error(
    expect: dict[str, Any], prediction: Any
) -> None:
    assert all(isinstance(sentence, str) for sentence in differences(expect, Observed(prediction)))


@given(st.lists(st.floats(0, 1), min_size=8, max_size=8))
def test_overlap_is_a_share_and_the_same_both_ways(numbers: list[float]) -> None:
    boxes = [[min(a, c), min(b, d), max(a, c), max(b, d)] for a, b, c, d in (numbers[:4], numbers[4:])]
    first, second = boxes
    assert iou(first, second) == pytest.approx(iou(second, first))
    assert 0 <= iou(first, second) <= 1 + 1e-9


def test_overlap_of_known_boxes() -> None:
    assert iou([0, 0, 2, 2], [1, 1, 3, 3]) == pytest.approx(1 / 7)
    assert iou([0, 0, 1, 1], [0, 0, 1, 1]) == 1
    assert iou([0, 0, 0, 0], [0, 0, 0, 0]) == 0
