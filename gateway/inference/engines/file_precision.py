"""What numbers a model file computes with, looked for in the file itself where its card does not say."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Final

from gateway.errors import LoadFailed
from gateway.inference.engines.onnx_fields import OnnxFields
from gateway.inference.engines.precision import Precision
from gateway.inference.engines.word_search import holds_any
from gateway.model import ModelCard

# Operators that only quantised graphs have; names stand in the file as they are.
_QUANTISED: Final = (b"DequantizeLinear", b"QLinearConv", b"QLinearMatMul", b"ConvInteger", b"MatMulInteger")
_DATA_TYPE, _FLOAT16 = 2, 10


def file_precision(path: Path, card: ModelCard) -> Precision:
    """Return the precision of a model file.

    A .tflite file is judged by its inputs and outputs alone: one that hides integers behind floats counts
    as fp32 unless its card says otherwise. That changes only what is tried first.

    Args:
        path: The file; it is mapped while it is read.
        card: The card as it is for this file.

    Raises:
        LoadFailed: It cannot be read, or is no ONNX model.
    """
    if card.precision:
        return Precision(card.precision)
    if card.format != "onnx":
        quantised = any(tensor.scale for tensor in (*card.inputs, *card.outputs))
        return Precision.INT8 if quantised else Precision.FP32
    try:
        if holds_any(path, _QUANTISED):
            return Precision.INT8
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return Precision.FP16 if _has_halves(OnnxFields(data, path)) else Precision.FP32
    except (OSError, ValueError) as error:
        raise LoadFailed(f"{path}: cannot be read: {error}") from error


def _has_halves(walk: OnnxFields) -> bool:
    return any(
        field.number == _DATA_TYPE and field.value == _FLOAT16
        for start, end in walk.tensors()
        for field in walk.fields(start, end)
    )
