"""Draws predictions of every kind, made by the real steps from drawn outputs."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gateway.frames.pipeline import Pipeline
from gateway.frames.prepared import Prepared, StreamState
from gateway.frames.sight import SIGHT, Sight
from gateway.frames.steps import Prediction
from gateway.frames.windows import STARTS
from gateway.tensor import Array, TensorSpec
from tests.frames.made import compiled, facts, spec

PICTURE = [spec("x", "uint8", (1, 32, 32, 3))]
VECTOR = [spec("x", "float32", (1, 100))]
NOTES = {SIGHT: Sight(640, 480, 20.0, 15.0), STARTS: [0]}


def _pipelines() -> list[tuple[Pipeline, tuple[TensorSpec, ...]]]:
    labels = ("cat", "dog", "cow")
    classes, head = (spec("o", "uint8", (1, 3), 1 / 256),), (spec("o", "float32", (1, 7, 5)),)
    faces = (spec("b", "float32", (1, 16, 6)), spec("s", "float32", (1, 16, 3)))
    probability, score = (spec("o", "uint8", (1, 1), 1 / 256),), (spec("o", "float32", (1, 1)),)
    anchors = {"strides": [8], "per_cell": [1], "keypoints": 1, "scale": 32}
    heard = [("audio_windows", {"rate_hz": 1000})]
    voice = {"min_speech_ms": 0, "min_silence_ms": 0}
    made = [
        (compiled(facts(PICTURE, classes, labels), [("resize", {})], [("classify", {})]), classes),
        (compiled(facts(PICTURE, head, labels), [("resize", {})], [("detect_yolo", {})]), head),
        (compiled(facts(PICTURE, faces, labels), [("resize", {})], [("detect_anchors", anchors)]), faces),
        (compiled(facts(VECTOR, probability), heard, [("voice", voice)]), probability),
        (compiled(facts(VECTOR, classes, labels), [], [("regress", {"unit": "K"})]), classes),
        (compiled(facts(VECTOR, score), [], [("anomaly", {"threshold": 3})]), score),
        (compiled(facts(VECTOR, classes), [], [("tensors", {})]), classes),
    ]
    return list(made)


def _output(of: TensorSpec) -> st.SearchStrategy[Array]:
    shape = tuple(size or 1 for size in of.shape)
    elements = st.floats(-9, 40, width=32) if of.dtype == "float32" else None
    return arrays(of.dtype, shape, elements=elements)


@st.composite
def _prediction(draw: st.DrawFn, pipeline: Pipeline, outputs: tuple[TensorSpec, ...]) -> Prediction:
    row = {one.name: draw(_output(one)) for one in outputs}
    prepared = Prepared([{"x": np.zeros((1, 100), np.float32)}], dict(NOTES))
    prediction = pipeline.finish(prepared, [row], StreamState())
    assert prediction is not None
    return prediction


predictions: st.SearchStrategy[Prediction] = st.one_of(
    [_prediction(pipeline, outputs) for pipeline, outputs in _pipelines()]
)
"""Any prediction of any kind."""
