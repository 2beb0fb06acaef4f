"""Probabilities of a recurrent model to segments in seconds, payload by payload."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import PipelineMisfit, RunFailed
from gateway.frames.pipeline import Pipeline
from gateway.frames.prepared import JsonValue, StreamState
from gateway.frames.values import Audio
from gateway.tensor import Array
from tests.frames.made import compiled, facts, spec

RATE = 1000
MODEL = facts([spec("x", "float32", (1, 100))], [spec("p", "float32", (1, 1))])
OPTIONS = {"min_speech_ms": 200, "min_silence_ms": 300, "pad_ms": 0}


def pipeline() -> Pipeline:
    return compiled(MODEL, [("audio_windows", {"rate_hz": RATE})], [("voice", OPTIONS)])


def hear(loudness: list[float], pieces: list[int]) -> list[dict[str, JsonValue]]:
    """Play 100 samples a loudness, cut into ``pieces``, to a model whose probability is the loudness."""
    samples = np.repeat(np.array(loudness, np.float32), 100)
    voice, state, predictions, at = pipeline(), StreamState(), [], 0
    for piece in [*pieces, len(samples)]:
        prepared = voice.prepare_value(Audio(samples[at : at + piece], RATE), state)
        outputs: list[Mapping[str, Array]] = [{"p": row["x"][:, :1]} for row in prepared.rows]
        prediction = voice.finish(prepared, outputs, state)
        if prediction is not None:
            predictions.append(prediction)
        state = StreamState.from_bytes(state.to_bytes())
        at += piece
    return predictions


def segments_of(predictions: list[dict[str, JsonValue]]) -> list[JsonValue]:
    found: list[JsonValue] = []
    for prediction in predictions:
        segments = prediction["segments"]
        assert isinstance(segments, list)
        found.extend(segments)
    return found


SPOKEN = [0, 0, 0.9, 0.8, 0.9, 0, 0, 0, 0, 0.9, 0.9, 0.9]


def test_the_spoken_part_is_told_in_seconds_of_the_stream() -> None:
    (prediction,) = hear(SPOKEN, [])
    assert prediction == {
        "kind": "voice",
        "speech": True,
        "probability": 0.9,
        "segments": [{"start_s": 0.2, "end_s": 0.5}],
    }


@given(st.lists(st.integers(0, 400), max_size=6))
def test_segments_do_not_depend_on_how_the_sound_was_cut(pieces: list[int]) -> None:
    assert segments_of(hear(SPOKEN, pieces)) == [{"start_s": 0.2, "end_s": 0.5}]


def test_quiet_after_speech_is_told_once() -> None:
    predictions = hear(SPOKEN, [100] * 11)
    assert [prediction["speech"] for prediction in predictions] == [False] * 3 + [True] * 4 + [False] * 3 + [
        True
    ] * 2


def test_a_probability_that_is_no_number_fails_the_run() -> None:
    voice, state = pipeline(), StreamState()
    prepared = voice.prepare_value(Audio(np.zeros(100, np.float32), RATE), state)
    with pytest.raises(RunFailed):
        voice.finish(prepared, [{"p": np.array([[np.nan]], np.float32)}], state)


def test_it_needs_windows_of_sound_one_probability_and_ordered_marks() -> None:
    tensors = facts([spec("x", "float32", (1, 100))], [spec("p", "float32", (1, 1))])
    with pytest.raises(PipelineMisfit, match="needs sound"):
        compiled(tensors, [("tensor", {})], [("voice", {})])
    wide = facts([spec("x", "float32", (1, 100))], [spec("p", "float32", (1, 2))])
    with pytest.raises(PipelineMisfit, match="one number"):
        compiled(wide, [("audio_windows", {"rate_hz": RATE})], [("voice", {})])
    with pytest.raises(PipelineMisfit, match="must not be above threshold"):
        compiled(MODEL, [("audio_windows", {"rate_hz": RATE})], [("voice", {"threshold": 0.3})])
