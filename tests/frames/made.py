"""Makes models' facts and compiled pipelines for the tests of this room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gateway.configuration.settings import StepSettings
from gateway.frames.limits import PayloadLimits
from gateway.frames.pipeline import Pipeline, compile_pipeline
from gateway.frames.prepared import JsonValue, Prepared, StreamState
from gateway.frames.specs import ModelFacts
from gateway.frames.values import Image
from gateway.model import CardState, CardTensor, ModelCard
from gateway.tensor import Array, Quantization, TensorSpec

Written = Sequence[tuple[str, Any]]

LEVELS = TensorSpec("pixels", "uint8", (1, 8, 8, 3), Quantization(1 / 128, 127))
"""A small picture input whose codes are the levels once they are (level - 127) / 128."""


def spec(name: str, dtype: str, shape: tuple[int | None, ...], scale: float = 0, zero: int = 0) -> TensorSpec:
    """Return a tensor's spec, quantised if ``scale`` is not 0."""
    return TensorSpec(name, dtype, shape, Quantization(scale, zero) if scale else None)


def facts(
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    labels: Sequence[str] = (),
    axes: str = "",
    state: Mapping[str, str] | None = None,
    constants: Mapping[str, float] | None = None,
) -> ModelFacts:
    """Return facts whose card says what the runtime says; ``axes`` are those of the first input."""
    card = ModelCard(
        name="made",
        version="1",
        summary="Made for a test.",
        source="here",
        licence="Apache-2.0",
        file="made.onnx",
        sha256="0" * 64,
        format="onnx",
        inputs=tuple(_stated(one, axes if index == 0 else "") for index, one in enumerate(inputs)),
        outputs=tuple(_stated(one, "") for one in outputs),
        state=tuple(CardState(one, other) for one, other in (state or {}).items()),
        constants=constants or {},
    )
    return ModelFacts(card, tuple(labels), tuple(inputs), tuple(outputs))


def _stated(tensor: TensorSpec, axes: str) -> CardTensor:
    shape = tuple(-1 if size is None else size for size in tensor.shape)
    return CardTensor(tensor.name, tensor.dtype, shape, axes=axes)


def compiled(model: ModelFacts, pre: Written, post: Written = (("tensors", {}),)) -> Pipeline:
    """Return the pipeline that the steps make of the model."""
    return compile_pipeline(
        [StepSettings(name, options) for name, options in pre],
        [StepSettings(name, options) for name, options in post],
        model=model,
        limits=PayloadLimits(),
    )


def picture(height: int, width: int, channels: int = 3, seed: int = 0) -> Image:
    """Return a picture of random levels."""
    levels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    return Image(levels, width, height)


def finished(
    pipeline: Pipeline,
    outputs: Sequence[Mapping[str, Array]],
    state: StreamState | None = None,
    **notes: object,
) -> dict[str, JsonValue]:
    """Return the prediction that a pipeline makes of raw outputs, one mapping a row."""
    rows: list[dict[str, Array]] = [{} for _ in outputs]
    prediction = pipeline.finish(Prepared(rows, dict(notes)), list(outputs), state or StreamState())
    assert prediction is not None
    return prediction
