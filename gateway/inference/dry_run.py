"""Passing made-up payloads through a compiled pipeline and the real model, before any real one comes.

Compiling proves that specs fit each other; this proves that what the model
really gives can be read, and that the rows are what it really takes.
"""

from __future__ import annotations

import numpy as np

from gateway.errors import GatewayError, PipelineMisfit
from gateway.frames.pipeline import Pipeline
from gateway.frames.prepared import StreamState
from gateway.frames.specs import AudioSpec, ImageSpec, NumbersSpec
from gateway.frames.values import Audio, Image, Numbers, Tensors, Value
from gateway.inference.loaded import LoadedModel
from gateway.tensor import Array

_PICTURE = (480, 640)
_SECONDS = 2
_WINDOWS = 2
_RATE_HZ = 16_000.0
_CHANNELS = 3


def dry_run(model: LoadedModel, name: str) -> int:
    """Run a made-up payload through the pipeline called ``name``; return the model runs it made.

    Raises:
        PipelineMisfit: The steps or the model could not take it, or its outputs could not be read.
        GatewayError: The model itself failed.
    """
    pipeline = model.pipeline(name)
    state = StreamState()
    try:
        prepared = pipeline.prepare_value(_value(pipeline), state)
    except GatewayError as error:
        raise PipelineMisfit(f"pipelines.{name}.preprocess", f"dry run: {error.message}") from error
    outputs = model.run_rows(prepared.rows)
    try:
        pipeline.finish(prepared, outputs, state)
    except GatewayError as error:
        raise PipelineMisfit(
            f"pipelines.{name}.{pipeline.answer_path}", f"dry run: {error.message}"
        ) from error
    return len(outputs)


def _value(pipeline: Pipeline) -> Value:
    """Return a payload's worth of what the pipeline takes, neither constant nor random."""
    if pipeline.kind is ImageSpec:
        height, width = _PICTURE
        pixels = _ramp((height, width, 3), np.uint8)
        return Image(pixels, width, height)
    specs = [bound.fitted.spec for bound in pipeline.steps]
    if pipeline.kind is AudioSpec:
        rate_hz = next(
            (spec.rate_hz for spec in specs if isinstance(spec, AudioSpec) and spec.rate_hz), _RATE_HZ
        )
        samples = np.sin(np.arange(int(rate_hz * _SECONDS), dtype=np.float32) / 9)
        return Audio(samples.astype(np.float32), rate_hz)
    if pipeline.kind is NumbersSpec:
        last = specs[-1]
        known = last if isinstance(last, NumbersSpec) else NumbersSpec()
        shape = ((known.length or 1) * _WINDOWS, known.channels or _CHANNELS)
        return Numbers(np.sin(np.arange(shape[0] * shape[1], dtype=np.float32)).reshape(shape))
    inputs = pipeline.model.data_inputs()
    shapes = {spec.name: tuple(1 if size is None else size for size in spec.shape) for spec in inputs}
    return Tensors({spec.name: _ramp(shapes[spec.name], np.dtype(spec.dtype)) for spec in inputs})


def _ramp(shape: tuple[int, ...], dtype: type[np.generic] | np.dtype[np.generic]) -> Array:
    count = int(np.prod(shape, dtype=np.int64))
    return (np.arange(count) % 100).astype(dtype).reshape(shape)
