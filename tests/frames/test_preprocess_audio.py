"""Sound to windows at the model's rate."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.errors import NotFinite, PipelineMisfit, TooLarge, UnknownMedia
from gateway.frames.prepared import StreamState
from gateway.frames.values import Audio
from tests.frames.made import compiled, facts, picture, spec

OUT = [spec("out", "float32", (1, 1))]
RECURRENT = facts(
    [
        spec("input", "float32", (None, 576)),
        spec("state", "float32", (2, None, 128)),
        spec("sr", "int64", ()),
    ],
    [*OUT, spec("stateN", "float32", (2, None, 128))],
    state={"state": "stateN"},
    constants={"sr": 16000},
)


def sound(samples: int, rate_hz: float = 16_000) -> Audio:
    return Audio(np.linspace(-1, 1, samples, dtype=np.float32), rate_hz)


def test_a_recurrent_model_gets_its_samples_with_context_and_nothing_else() -> None:
    pipeline = compiled(RECURRENT, [("audio_windows", {"rate_hz": 16_000, "context": 64})])
    assert pipeline.stateful
    state = StreamState()
    audio = sound(1100)
    rows = pipeline.prepare_value(audio, state).rows
    assert [list(row) for row in rows] == [["input"], ["input"]]
    np.testing.assert_array_equal(np.zeros(64), rows[0]["input"][0, :64])
    np.testing.assert_array_equal(audio.samples[:512], rows[0]["input"][0, 64:])
    np.testing.assert_array_equal(audio.samples[448:1024], rows[1]["input"][0])
    assert all(row["input"].shape == (1, 576) and row["input"].flags.c_contiguous for row in rows)


def test_a_payload_that_fills_no_window_makes_no_row_and_no_prediction() -> None:
    pipeline = compiled(RECURRENT, [("audio_windows", {"rate_hz": 16_000, "context": 64})])
    state = StreamState()
    prepared = pipeline.prepare_value(sound(511), state)
    assert prepared.rows == []
    assert pipeline.finish(prepared, [], state) is None
    assert len(pipeline.prepare_value(sound(1), state).rows) == 1


def test_a_quantised_model_gets_codes() -> None:
    model = facts([spec("x", "int8", (1, 100), 1 / 128, 0)], OUT)
    pipeline = compiled(model, [("audio_windows", {"rate_hz": 8000})])
    audio = sound(100, 8000)
    (row,) = pipeline.prepare_value(audio, StreamState()).rows
    expected = np.clip(np.rint(audio.samples.astype(np.float64) * 128), -128, 127)
    np.testing.assert_array_equal(expected, row["x"][0])


def test_the_models_own_axes_of_one_are_kept() -> None:
    pipeline = compiled(
        facts([spec("x", "float32", (1, 1, 100, 1))], OUT), [("audio_windows", {"rate_hz": 8000})]
    )
    (row,) = pipeline.prepare_value(sound(100, 8000), StreamState()).rows
    assert row["x"].shape == (1, 1, 100, 1)


def test_another_rate_is_refused_with_both_rates_told() -> None:
    pipeline = compiled(RECURRENT, [("audio_windows", {"rate_hz": 16_000, "context": 64})])
    with pytest.raises(UnknownMedia, match="44100 samples a second, the model takes 16000"):
        pipeline.prepare_value(sound(1000, 44_100), StreamState())


def test_what_is_no_sound_is_refused() -> None:
    pipeline = compiled(RECURRENT, [("audio_windows", {"rate_hz": 16_000, "context": 64})])
    with pytest.raises(UnknownMedia, match="takes sound, the payload is a picture"):
        pipeline.prepare_value(picture(4, 4), StreamState())


def test_samples_that_are_not_finite_are_refused() -> None:
    pipeline = compiled(RECURRENT, [("audio_windows", {"rate_hz": 16_000, "context": 64})])
    broken = sound(512)
    broken.samples[7] = np.nan
    with pytest.raises(NotFinite):
        pipeline.prepare_value(broken, StreamState())


def test_one_payload_holds_so_many_windows_at_most() -> None:
    pipeline = compiled(RECURRENT, [("audio_windows", {"rate_hz": 16_000, "context": 64, "most": 2})])
    with pytest.raises(TooLarge):
        pipeline.prepare_value(sound(512 * 3), StreamState())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rate_hz": 16_000, "samples": 500}, "windows of 500 samples, but the model takes"),
        ({"rate_hz": 16_000, "context": 576}, "leaves no new samples"),
        ({"rate_hz": 16_000, "hop": 600}, "sound would be skipped"),
    ],
)
def test_windows_that_do_not_fit_the_model_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(PipelineMisfit, match=words) as caught:
        compiled(RECURRENT, [("audio_windows", options)])
    assert caught.value.step == "preprocess[0].audio_windows"


def test_a_model_of_any_length_needs_the_length_told() -> None:
    model = facts([spec("x", "float32", (1, None))], OUT)
    with pytest.raises(PipelineMisfit, match="needs the option samples"):
        compiled(model, [("audio_windows", {"rate_hz": 16_000})])
    pipeline = compiled(model, [("audio_windows", {"rate_hz": 16_000, "samples": 160})])
    assert pipeline.prepare_value(sound(160), StreamState()).rows[0]["x"].shape == (1, 160)
