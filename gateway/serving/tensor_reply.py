"""From what a model gave to a reply: tensors as they are, or the names of the greatest classes. Pure."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from gateway.inference.model_shape import ModelShape
from gateway.inference.request import TensorBytes
from gateway.serving.call import InferCall, OutputTensor
from gateway.tensor import Array, protocol_name

_LENGTH: Final = struct.Struct("<I")


def outputs_of(
    call: InferCall, tensors: Sequence[TensorBytes], shape: ModelShape
) -> tuple[OutputTensor, ...]:
    """Return the outputs that a call wants, in its order; all, in the model's, where it names none."""
    classes = {wanted.name: wanted.classes for wanted in call.outputs if wanted.classes}
    return tuple(
        _classified(tensor, classes[tensor.name], shape)
        if tensor.name in classes
        else OutputTensor(tensor.name, protocol_name(tensor.dtype), tensor.shape, tensor.data)
        for tensor in tensors
    )


def labels_for(name: str, shape: ModelShape) -> tuple[str, ...]:
    """Return the labels that name an output's elements; empty where they do not fit it."""
    sizes: Mapping[str, tuple[int | None, ...]] = {spec.name: spec.shape for spec in shape.outputs}
    last = sizes[name][-1:] or (None,)
    return shape.labels if shape.labels and last[0] == len(shape.labels) else ()


def _classified(tensor: TensorBytes, classes: int, shape: ModelShape) -> OutputTensor:
    """Return ``value:index[:label]`` of the greatest elements: of each row, where axis 0 is rows."""
    values = np.frombuffer(tensor.data, tensor.dtype).reshape(tensor.shape)
    rows = values.reshape(len(values), -1) if shape.stacks else values.reshape(1, -1)
    count = min(classes, rows.shape[1])
    labels = labels_for(tensor.name, shape)
    words = [word for row in rows for word in _greatest(row, count, labels)]
    data = b"".join(_LENGTH.pack(len(word)) + word for word in words)
    sizes = (len(rows), count) if shape.stacks else (count,)
    return OutputTensor(tensor.name, "BYTES", sizes, data)


def _greatest(row: Array, count: int, labels: Sequence[str]) -> list[bytes]:
    order = np.argsort(-row.astype(np.float64), kind="stable")[:count]
    said = "f" if row.dtype.kind == "f" else "d"
    return [
        f"{row[index]:{said}}:{index}{':' + labels[index] if index < len(labels) else ''}".encode()
        for index in order.tolist()
    ]
