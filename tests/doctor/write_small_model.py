"""Writes the small model of ``gateway.doctor.small_model``; run it to make ``gateway/doctor/data`` anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from gateway.doctor.small_model import FILES, INPUTS, KERNEL, OUTPUTS, SIZE, weights
from tests import onnx_writer, tflite_writer

SIDE = SIZE - KERNEL + 1


def write_onnx(path: Path) -> Path:
    """Write it as an ONNX graph: Conv, Relu."""
    ports = (
        [("x", "float32", (1, INPUTS, SIZE, SIZE))],
        [("y", "float32", (1, OUTPUTS, SIDE, SIDE))],
    )
    nodes = [onnx_writer.node("Conv", ["x", "w"], ["c"]), onnx_writer.node("Relu", ["c"], ["y"])]
    return onnx_writer.write(path, onnx_writer.Graph(nodes, *ports, {"w": weights()}))


def write_tflite(path: Path) -> Path:
    """Write it as a TFLite graph: CONV_2D with a fused ReLU."""
    kernel = np.ascontiguousarray(weights().transpose(0, 2, 3, 1))
    tensors = [
        tflite_writer.Tensor("x", "float32", (1, SIZE, SIZE, INPUTS)),
        tflite_writer.Tensor("w", "float32", kernel.shape, data=kernel),
        tflite_writer.Tensor("b", "float32", (OUTPUTS,), data=np.zeros(OUTPUTS, np.float32)),
        tflite_writer.Tensor("y", "float32", (1, SIDE, SIDE, OUTPUTS)),
    ]
    options = schema.Conv2DOptionsT()
    options.padding = schema.Padding.VALID
    options.strideH = options.strideW = 1
    options.fusedActivationFunction = schema.ActivationFunctionType.RELU
    convolution = tflite_writer.Operator(
        schema.BuiltinOperator.CONV_2D, (0, 1, 2), (3,), (schema.BuiltinOptions.Conv2DOptions, options)
    )
    return tflite_writer.write(path, tensors, [convolution], [0], [3])


WRITERS = {"onnx": write_onnx, "tflite": write_tflite}

if __name__ == "__main__":
    for name, path in FILES.items():
        WRITERS[name](path)
