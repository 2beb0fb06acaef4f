"""One made-up payload through a compiled pipeline, so that what cannot work fails before the first frame."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.errors import GatewayError, PipelineMisfit
from gateway.frames.intake import taken_as
from gateway.frames.pipeline import Pipeline
from gateway.frames.prepared import Prepared, StreamState
from gateway.frames.preprocess_numbers import Select
from gateway.frames.sight import SIGHT, Sight
from gateway.frames.specs import AudioSpec, ImageSpec, NumbersSpec
from gateway.frames.steps import Journey
from gateway.frames.values import Audio, Image, Numbers, Tensors, Value
from gateway.tensor import Array, TensorSpec

_SOURCE_WIDTH, _SOURCE_HEIGHT = 64, 48


def dry_run(pipeline: Pipeline) -> Prepared:
    """Run every step once and check what it gives against the model's real inputs.

    Post-processing reads zeros in the outputs' real shapes and types; an axis of
    any size counts as 1.

    Returns:
        The rows made of the made-up payload, at least one: good for a first run of the model.

    Raises:
        PipelineMisfit: A step failed, or its result is not what the model takes or JSON can say.
    """
    state = StreamState()
    journey = Journey(state)
    value: Any = _step(pipeline.steps[0].path, taken_as, pipeline.kind, made_up_value(pipeline))
    if isinstance(value, Image):
        journey.notes[SIGHT] = Sight(value.source_width, value.source_height)
    for bound in pipeline.steps:
        if bound.fitted.stage is not None:
            value = _step(bound.path, bound.fitted.stage, value, journey)
    last = pipeline.steps[-1].path
    prepared = Prepared(_step(last, pipeline.rows, value), journey.notes)
    if not prepared.rows:
        raise PipelineMisfit(last, "made no row of a payload that fills one window")
    for row in prepared.rows:
        _check_row(row, pipeline.model.data_inputs(), last)
    zeros = {spec.name: _zeros(spec) for spec in pipeline.model.outputs}
    answers = [zeros] * len(prepared.rows)
    prediction = _step(pipeline.answer_path, pipeline.finish, prepared, answers, state)
    try:
        json.dumps(prediction, allow_nan=False)
        state.to_bytes()
    except (TypeError, ValueError) as error:
        raise PipelineMisfit(pipeline.answer_path, f"gives what JSON cannot say: {error}") from error
    return prepared


def _step(path: str, function: Any, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except PipelineMisfit:
        raise
    except GatewayError as error:
        raise PipelineMisfit(path, error.message) from error
    except Exception as error:  # steps of other distributions may raise anything
        raise PipelineMisfit(path, f"failed with {type(error).__name__}: {error}") from error


def made_up_value(pipeline: Pipeline) -> Value:
    """Return a decoded payload that the pipeline takes, neither constant nor random.

    It fills one window exactly: that alone is a whole number of windows whatever the hop.
    """
    specs = [bound.fitted.spec for bound in pipeline.steps]
    if pipeline.kind is ImageSpec:
        pixels = _ramp((_SOURCE_HEIGHT, _SOURCE_WIDTH, 3), np.dtype(np.uint8))
        return Image(pixels, _SOURCE_WIDTH, _SOURCE_HEIGHT)
    if pipeline.kind is AudioSpec:
        samples, rate = max(
            (spec.samples or 0, spec.rate_hz or 0) for spec in specs if isinstance(spec, AudioSpec)
        )
        return Audio(_wave((int(samples),)), rate)
    if pipeline.kind is NumbersSpec:
        length = max(spec.length or 1 for spec in specs if isinstance(spec, NumbersSpec))
        channels, names = _channels(pipeline)
        return Numbers(_wave((length, channels)), names)
    return Tensors(
        {spec.name: _ramp(_sizes(spec), np.dtype(spec.dtype)) for spec in pipeline.model.data_inputs()}
    )


def _wave(shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.sin(np.arange(int(np.prod(shape))) / 9).astype(np.float32).reshape(shape)


def _ramp(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    return (np.arange(int(np.prod(shape))) % 100).astype(dtype).reshape(shape)


def _channels(pipeline: Pipeline) -> tuple[int, tuple[str, ...]]:
    """Return how many channels a payload must have, and their names if a step asks for some."""
    for bound in pipeline.steps:
        if isinstance(bound.step, Select):
            names = bound.step.channels
            return len(names) or max(bound.step.indices) + 1, tuple(dict.fromkeys(names))
    counts = [
        bound.fitted.spec.channels for bound in pipeline.steps if isinstance(bound.fitted.spec, NumbersSpec)
    ]
    return max(count or 1 for count in counts), ()


def _sizes(spec: TensorSpec) -> tuple[int, ...]:
    return tuple(1 if size is None else size for size in spec.shape)


def _zeros(spec: TensorSpec) -> Array:
    return np.zeros(_sizes(spec), spec.dtype)


def _check_row(row: dict[str, Array], inputs: tuple[TensorSpec, ...], path: str) -> None:
    if row.keys() != {spec.name for spec in inputs}:
        raise PipelineMisfit(
            path, f"feeds {sorted(row)}, the model takes {sorted(spec.name for spec in inputs)}"
        )
    for spec in inputs:
        array = row[spec.name]
        fits = array.ndim == len(spec.shape) and all(
            want in {None, size} for size, want in zip(array.shape, spec.shape, strict=True)
        )
        if array.dtype != spec.dtype or not fits or array.shape[0] != 1:
            raise PipelineMisfit(path, f"feeds {array.dtype}{list(array.shape)}, the model takes {spec}")
        if not array.flags.c_contiguous:
            raise PipelineMisfit(path, f"feeds {spec.name} out of order in memory")
