"""Predictions in a few words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.words import in_words
from tests.demo.test_status import JSON


@pytest.mark.parametrize(
    ("prediction", "words"),
    [
        ({"classes": [{"index": 1, "label": "running", "score": 0.9961}]}, "running 1.00"),
        ({"classes": []}, "no class"),
        ({"objects": [{"label": "face", "score": 0.92}]}, "face 0.92"),
        (
            {"objects": [{"label": "face", "score": 0.92}, {"label": "face", "score": 0.5}]},
            "face 0.92 and 1 more",
        ),
        ({"objects": []}, "nothing found"),
        ({"speech": True, "probability": 1.0}, "speech"),
        ({"speech": False}, "silence"),
        ({"values": {"level": 3.14159}}, "level 3.14"),
        ({"anomaly": True, "values": {}}, "anomaly"),
        ({"kind": "tensors"}, "tensors"),
    ],
)
def test_a_prediction_is_said_in_a_few_words(prediction: dict[str, Any], words: str) -> None:
    assert in_words({"prediction": prediction}) == words


def test_nothing_is_a_dash() -> None:
    assert in_words(None) == "-"


def test_a_label_cannot_draw_on_the_terminal() -> None:
    words = in_words({"prediction": {"classes": [{"label": "\x1b[2Jcat\n\x07", "score": 1}]}})
    assert words == "[2Jcat 1.00"


@given(st.dictionaries(st.sampled_from(["classes", "objects", "speech", "values", "anomaly", "kind"]), JSON))
def test_any_prediction_is_said_in_one_short_printable_line(prediction: dict[str, Any]) -> None:
    words = in_words({"prediction": prediction})
    assert words.isprintable()
    assert len(words) <= 60
