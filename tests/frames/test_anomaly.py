"""Anomaly scores against a threshold with hysteresis."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import PipelineMisfit, RunFailed
from gateway.frames.prepared import StreamState
from gateway.frames.values import Tensors
from tests.frames.made import compiled, facts, finished, spec

IN = [spec("x", "float32", (1, 4))]
SCORE = facts(IN, [spec("score", "float32", (1, 1))])


def verdicts(scores: list[float], options: dict[str, object]) -> list[bool]:
    pipeline, state, said = compiled(SCORE, [], [("anomaly", options)]), StreamState(), []
    for score in scores:
        prediction = finished(pipeline, [{"score": np.array([[score]], np.float32)}], state)
        assert prediction["kind"] == "anomaly"
        assert prediction["threshold"] == options["threshold"]
        said.append(bool(prediction["anomaly"]))
        state = StreamState.from_bytes(state.to_bytes())
    return said


def test_an_anomaly_lasts_until_the_score_falls_below_release() -> None:
    scores = [1.0, 5.0, 4.0, 3.0, 2.9, 4.9, 5.0]
    expected = [False, True, True, True, False, False, True]
    assert verdicts(scores, {"threshold": 5, "release": 3}) == expected


@given(st.lists(st.integers(0, 10).map(float), max_size=20))
def test_without_release_the_threshold_alone_decides(scores: list[float]) -> None:
    assert verdicts(scores, {"threshold": 5}) == [score >= 5 for score in scores]


def test_an_anomaly_in_an_earlier_window_is_not_lost() -> None:
    pipeline = compiled(facts(IN, [spec("score", "float32", (None, 1))]), [], [("anomaly", {"threshold": 5})])
    rows = [{"score": np.array([[score]], np.float32)} for score in (9.0, 1.0)]
    state = StreamState()
    assert finished(pipeline, rows, state) == {
        "kind": "anomaly",
        "score": 9.0,
        "anomaly": True,
        "threshold": 5,
    }
    assert finished(pipeline, rows[1:], state)["anomaly"] is False


@pytest.mark.parametrize(("score", "expected"), [("mean_square_error", 2.5), ("mean_absolute_error", 1.5)])
def test_an_autoencoders_score_is_its_distance_from_the_input(score: str, expected: float) -> None:
    model = facts([spec("x", "int8", (1, 2), 0.5, 0)], [spec("out", "int8", (1, 2), 1.0, 1)])
    pipeline = compiled(model, [], [("anomaly", {"threshold": 2, "score": score})])
    prepared = pipeline.prepare_value(Tensors({"": np.array([2, 4], np.int8)}), StreamState())
    # The input is 1 and 2, the output 3 and 1.
    prediction = pipeline.finish(prepared, [{"out": np.array([[4, 2]], np.int8)}], StreamState())
    assert prediction is not None
    assert prediction["score"] == expected


def test_a_score_that_is_no_number_fails_the_run_and_changes_nothing() -> None:
    pipeline, state = compiled(SCORE, [], [("anomaly", {"threshold": 5})]), StreamState()
    with pytest.raises(RunFailed):
        finished(pipeline, [{"score": np.array([[np.nan]], np.float32)}], state)
    assert state == StreamState()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "needs the option threshold"),
        ({"threshold": 1, "release": 2}, "must not be above"),
        ({"threshold": 1, "score": "mean_square_error"}, "differ in shape"),
        ({"threshold": 1, "score": "mean_square"}, "did you mean mean_square_error"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(PipelineMisfit, match=words):
        compiled(SCORE, [], [("anomaly", options)])
