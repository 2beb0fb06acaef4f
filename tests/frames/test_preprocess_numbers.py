"""Readings over time to windows in the model's form."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.errors import NotFinite, PipelineMisfit, UnknownMedia, WrongShape
from gateway.frames.prepared import StreamState
from gateway.frames.values import Numbers, Tensors
from gateway.tensor import Array
from tests.frames.made import Written, compiled, facts, picture, spec

OUT = [spec("out", "float32", (1, 4))]
MODEL = facts([spec("x", "float32", (None, 100, 6))], OUT)


def readings(length: int, channels: int = 6, names: tuple[str, ...] = ()) -> Numbers:
    values = np.random.default_rng(3).normal(size=(length, channels)).astype(np.float32)
    return Numbers(values, names)


def rows_of(shape: tuple[int | None, ...], steps: Written, value: Numbers, axes: str = "") -> list[Array]:
    pipeline = compiled(facts([spec("x", "float32", shape)], OUT, axes=axes), steps)
    return [row["x"] for row in pipeline.prepare_value(value, StreamState()).rows]


def test_a_payload_of_one_whole_window_passes_through() -> None:
    pipeline = compiled(MODEL, [("window", {"carry": False})])
    assert not pipeline.stateful
    numbers = readings(100)
    (row,) = pipeline.prepare_value(numbers, StreamState()).rows
    assert np.shares_memory(numbers.values, row["x"])
    assert row["x"].shape == (1, 100, 6)


def test_readings_are_carried_until_a_window_is_full() -> None:
    pipeline = compiled(MODEL, [("window", {"hop": 50})])
    assert pipeline.stateful
    numbers, state = readings(170), StreamState()
    got = []
    for at in range(0, 170, 10):
        part = Numbers(numbers.values[at : at + 10])
        got += [row["x"][0] for row in pipeline.prepare_value(part, state).rows]
    assert len(got) == 2
    np.testing.assert_array_equal(numbers.values[50:150], got[1])


def test_a_raw_tensor_counts_as_readings() -> None:
    pipeline = compiled(MODEL, [("window", {"carry": False})])
    values = readings(100).values
    for array in (values, values[np.newaxis], values.astype(np.float64)):
        (row,) = pipeline.prepare_value(Tensors({"": array}), StreamState()).rows
        np.testing.assert_array_equal(values, row["x"][0])


def test_every_form_of_input_gets_the_same_readings() -> None:
    numbers = readings(20, 3)
    (last,) = rows_of((1, 20, 3), [("window", {})], numbers)
    (first,) = rows_of((1, 3, 20), [("window", {"length": 20, "channels": 3})], numbers)
    (stated,) = rows_of((1, 3, 20), [("window", {})], numbers, axes="NCT")
    (flat,) = rows_of((1, 60), [("window", {"channels": 3})], numbers)
    (single,) = rows_of((1, 20), [("select", {"indices": [1]}), ("window", {})], numbers)
    np.testing.assert_array_equal(numbers.values, last[0])
    np.testing.assert_array_equal(numbers.values.T, first[0])
    np.testing.assert_array_equal(numbers.values.T, stated[0])
    np.testing.assert_array_equal(numbers.values.reshape(-1), flat[0])
    np.testing.assert_array_equal(numbers.values[:, 1], single[0])


def test_channels_are_picked_by_name_in_the_models_order() -> None:
    numbers = readings(5, 4, ("x", "y", "z", "t"))
    (row,) = rows_of((1, 5, 2), [("select", {"channels": ["z", "x"]}), ("window", {})], numbers)
    np.testing.assert_array_equal(numbers.values[:, [2, 0]], row[0])


def test_a_channel_that_does_not_come_is_refused_with_the_nearest_name() -> None:
    steps = [("select", {"channels": ["accel_x"]}), ("window", {})]
    with pytest.raises(WrongShape, match="did you mean acel_x"):
        rows_of((1, 5), steps, readings(5, 2, ("acel_x", "temperature")))
    with pytest.raises(WrongShape, match="index 7 is wanted"):
        rows_of((1, 5), [("select", {"indices": [7]}), ("window", {})], readings(5, 2))


def test_readings_are_standardised_by_channel() -> None:
    numbers = readings(5, 2)
    steps = [("window", {}), ("normalise", {"mean": [1, 2], "std": [0.5, 4]})]
    (row,) = rows_of((1, 5, 2), steps, numbers)
    np.testing.assert_allclose(row[0], (numbers.values - np.array([1, 2])) / np.array([0.5, 4]), atol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_readings_that_are_not_finite_are_refused(value: float) -> None:
    numbers = readings(5, 2)
    numbers.values[3, 1] = value
    with pytest.raises(NotFinite):
        rows_of((1, 5, 2), [("window", {})], numbers)


def test_readings_that_overflow_once_normalised_are_refused() -> None:
    numbers = Numbers(np.full((5, 2), 3e38, np.float32))
    with pytest.raises(NotFinite, match="too great"):
        rows_of((1, 5, 2), [("window", {}), ("normalise", {"scale": 100})], numbers)


def test_another_number_of_channels_is_refused() -> None:
    with pytest.raises(WrongShape, match="have 5 channels, the model takes 6"):
        compiled(MODEL, [("window", {})]).prepare_value(readings(100, 5), StreamState())


def test_a_picture_is_no_reading() -> None:
    with pytest.raises(UnknownMedia):
        compiled(MODEL, [("window", {})]).prepare_value(picture(4, 4), StreamState())


@pytest.mark.parametrize(
    ("steps", "step", "words"),
    [
        ([("window", {"length": 99})], "preprocess[0].window", "windows of 99 x 6"),
        ([("window", {"hop": 101})], "preprocess[0].window", "would be skipped"),
        ([("window", {}), ("window", {})], "preprocess[1].window", "already"),
        ([("window", {}), ("select", {"indices": [1]})], "preprocess[1].select", "before window"),
        ([("select", {})], "preprocess[0].select", "either channels or indices"),
        ([("select", {"indices": [0, 1]}), ("window", {})], "preprocess[1].window", "windows of 100 x 2"),
        ([("select", {"indices": [0]})], "preprocess[0].select", "add the step window"),
        ([("window", {}), ("normalise", {"mean": [1, 2]})], "preprocess[1].normalise", "for 2 channels"),
    ],
)
def test_steps_that_do_not_fit_the_model_are_refused_by_name(steps: Written, step: str, words: str) -> None:
    with pytest.raises(PipelineMisfit, match=words) as caught:
        compiled(MODEL, steps)
    assert caught.value.step == step
