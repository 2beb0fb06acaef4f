"""How far two predictions agree, and when a shadow run is over."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.updates.shadow import LEAST_TIMES, ShadowGates, ShadowTally, agreement

NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers()
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
LABELS = st.sampled_from(["cat", "dog", "crab"])
SCORES = st.floats(0, 1)


def boxes() -> st.SearchStrategy[list[float]]:
    sides = st.tuples(*[st.floats(0, 0.5)] * 2, *[st.floats(0.51, 1)] * 2)
    return sides.map(list)


def predictions() -> st.SearchStrategy[dict[str, Any]]:
    """What pipelines give, and what looks like it."""
    classes = st.lists(st.fixed_dictionaries({"label": LABELS, "score": SCORES}), max_size=3)
    objects = st.lists(st.fixed_dictionaries({"label": LABELS, "score": SCORES, "box": boxes()}), max_size=5)
    values = st.dictionaries(LABELS, NUMBERS, max_size=3)
    tensor = st.fixed_dictionaries(
        {"name": LABELS, "shape": st.just([2]), "data": st.lists(NUMBERS, min_size=2, max_size=2)}
    )
    kinds = ["classification", "detection", "voice", "anomaly", "value", "tensors"]
    return st.one_of(
        st.fixed_dictionaries({"kind": st.just("classification"), "classes": classes}),
        st.fixed_dictionaries({"kind": st.just("detection"), "objects": objects}),
        st.fixed_dictionaries({"kind": st.just("voice"), "speech": st.booleans(), "probability": SCORES}),
        st.fixed_dictionaries({"kind": st.just("anomaly"), "anomaly": st.booleans(), "score": NUMBERS}),
        st.fixed_dictionaries({"kind": st.just("value"), "values": values}),
        st.fixed_dictionaries({"kind": st.just("tensors"), "tensors": st.lists(tensor, max_size=2)}),
        st.fixed_dictionaries(
            {"kind": st.sampled_from(kinds)},
            optional=dict.fromkeys(["classes", "objects", "speech", "anomaly", "values", "tensors"], JSON),
        ),
        st.dictionaries(st.text(max_size=5), JSON, max_size=3),
    )


@given(predictions() | st.none(), predictions() | st.none())
def test_agreement_is_a_share_the_same_from_both_sides_and_whole_for_equals(
    one: dict[str, Any] | None, other: dict[str, Any] | None
) -> None:
    share = agreement(one, other)
    assert 0 <= share <= 1
    assert share == pytest.approx(agreement(other, one), abs=1e-12)
    assert agreement(one, copy.deepcopy(one)) == 1
    if one is not None and other is not None and one.get("kind") != other.get("kind"):
        assert share == 0


def detection(*objects: tuple[str, list[float]]) -> dict[str, Any]:
    found: list[Any] = [{"label": label, "score": 0.9, "box": box} for label, box in objects]
    return {"kind": "detection", "objects": found}


def spoken(speech: bool) -> dict[str, Any]:
    return {"kind": "voice", "speech": speech}


LEFT = [0.1, 0.1, 0.4, 0.5]
NEARLY_LEFT = [0.11, 0.1, 0.41, 0.5]
RIGHT = [0.6, 0.1, 0.9, 0.5]


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [
        (detection(("cat", LEFT)), detection(("cat", NEARLY_LEFT)), 1.0),
        (detection(("cat", LEFT)), detection(("dog", LEFT)), 0.0),
        (detection(("cat", LEFT)), detection(("cat", RIGHT)), 0.0),
        (detection(("cat", LEFT), ("dog", RIGHT)), detection(("cat", LEFT)), 2 / 3),
        # Two in one place are not both partners of the same one.
        (detection(("cat", LEFT), ("cat", NEARLY_LEFT)), detection(("cat", LEFT)), 2 / 3),
        (detection(), detection(("cat", LEFT)), 0.0),
        (None, detection(), 0.0),
        ({"kind": "value", "values": {"t": 10.0}}, {"kind": "value", "values": {"t": 11.0}}, 20 / 21),
        ({"kind": "value", "values": {"t": 1.0}}, {"kind": "value", "values": {"u": 1.0}}, 0.0),
        ({"kind": "value", "values": {"t": 0.0}}, {"kind": "value", "values": {"t": 0}}, 1.0),
        ({"kind": "value", "values": {"t": -2.0}}, {"kind": "value", "values": {"t": 2.0}}, 0.0),
        ({"kind": "voice", "speech": True}, {"kind": "voice", "speech": False}, 0.0),
        (
            {"kind": "voice", "speech": True, "probability": 0.9},
            {"kind": "voice", "speech": True, "probability": 0.6},
            1.0,
        ),
        (
            {"kind": "classification", "classes": [{"label": "cat", "score": 0.9}]},
            {"kind": "classification", "classes": [{"label": "cat", "score": 0.2}]},
            1.0,
        ),
    ],
)
def test_kinds_are_compared_by_what_matters_in_them(one: Any, other: Any, share: float) -> None:
    assert agreement(one, other) == pytest.approx(share)


@given(
    st.integers(1, 40),
    st.sampled_from([0.0, 0.5, 0.9, 1.0]),
    st.lists(st.sampled_from(["same", "other", "failed"]), max_size=60),
)
def test_a_run_is_decided_as_soon_as_the_frames_to_come_can_change_nothing(
    frames: int, least: float, fates: list[str]
) -> None:
    tally = ShadowTally(ShadowGates(frames, least))
    agreed = 0
    for count, fate in enumerate(fates[:frames], 1):
        if fate == "failed":
            tally.failed("it died")
        else:
            tally.compare(spoken(True), spoken(fate == "same"), 1, 1)
        agreed += fate == "same"
        verdict = tally.verdict()
        lost = agreed + frames - count < least * frames - 1e-9
        assert (verdict is not None) == (lost or count == frames)
        if verdict is not None:
            assert verdict.passed != lost
            assert verdict.frames == count
            assert verdict.agreement == pytest.approx(agreed / count)
            assert ("it died" in verdict.words) == ("failed" in fates[:count])
            return


def run_with(serving_ms: float, candidate_ms: float, frames: int = 40) -> ShadowTally:
    tally = ShadowTally(ShadowGates(frames, 0.9, latency_factor=2.0))
    for number in range(frames):
        # A busy machine makes half of the candidate's runs ten times as long.
        busy = 10 if number % 2 else 1
        tally.compare(spoken(True), spoken(True), serving_ms, candidate_ms * busy)
    return tally


@pytest.mark.parametrize(
    ("serving_ms", "candidate_ms", "passed"),
    [(4.0, 7.9, True), (4.0, 8.1, False), (0.1, 1.0, True), (0.1, 1.2, False)],
)
def test_a_candidate_that_is_slow_even_when_the_machine_is_not_busy_fails(
    serving_ms: float, candidate_ms: float, passed: bool
) -> None:
    verdict = run_with(serving_ms, candidate_ms).verdict()
    assert verdict is not None
    assert verdict.passed is passed
    assert verdict.latency_ratio == pytest.approx(candidate_ms / serving_ms)
    few = run_with(serving_ms, candidate_ms, LEAST_TIMES - 1).verdict()
    assert few is not None
    assert (few.passed, few.latency_ratio) == (True, 0)
