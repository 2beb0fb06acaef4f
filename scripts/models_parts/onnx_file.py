"""Writes the quantised network as ONNX: float in and out, int8 between QDQ nodes, any batch."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models_parts.network import STRIDE
from models_parts.quantised import Codes, Layer, Quantised


class Graph:
    """Collects nodes and constants, in the order in which they run."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, array: NDArray[np.generic]) -> str:
        """Add a constant; return its name."""
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: object) -> str:
        """Add a node with one output; return the output's name."""
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def rounded(self, tensor: str, codes: Codes) -> str:
        """Add the pair of nodes that rounds a tensor to its codes and back."""
        scale = self.constant(f"{tensor}.scale", np.array(codes.scale, np.float32))
        zero = self.constant(f"{tensor}.zero_point", np.array(codes.zero_point, np.int8))
        coded = self.node("QuantizeLinear", [tensor, scale, zero], f"{tensor}.codes")
        return self.node("DequantizeLinear", [coded, scale, zero], f"{tensor}.real")

    def parameter(self, name: str, codes: NDArray[np.generic], scales: NDArray[np.float32]) -> str:
        """Add an int8 or int32 constant that is made real, per channel of axis 0 if it has many scales."""
        many = scales.size > 1
        inputs = [
            self.constant(f"{name}.codes", codes),
            self.constant(f"{name}.scale", scales if many else scales.reshape(())),
            self.constant(f"{name}.zero_point", np.zeros(scales.shape if many else (), codes.dtype)),
        ]
        return self.node("DequantizeLinear", inputs, f"{name}.real", axis=0)

    def convolution(self, name: str, tensor: str, layer: Layer, given: Codes) -> str:
        """Add a convolution with ReLU, (n, channels, time) to the same."""
        kernel = self.parameter(
            f"{name}.kernel", np.ascontiguousarray(layer.kernel.transpose(0, 2, 1)), layer.scales
        )
        bias = self.parameter(f"{name}.bias", layer.bias, layer.scales * np.float32(given.scale))
        raw = self.node(
            "Conv",
            [tensor, kernel, bias],
            f"{name}.sum",
            strides=[STRIDE],
            kernel_shape=[layer.kernel.shape[1]],
        )
        return self.rounded(self.node("Relu", [raw], name), layer.output)


def encode(network: Quantised) -> bytes:
    """Return the bytes of the model: window (n, 100, 6) to probabilities (n, 4)."""
    graph = Graph()
    window = graph.rounded("window", network.window)
    by_channel = graph.node("Transpose", [window], "by_channel", perm=[0, 2, 1])
    first = graph.convolution("conv1", by_channel, network.conv1, network.window)
    second = graph.convolution("conv2", first, network.conv2, network.conv1.output)
    pooled = graph.node("GlobalAveragePool", [second], "pooled")
    mean = graph.rounded(graph.node("Flatten", [pooled], "mean", axis=1), network.conv2.output)
    kernel = graph.parameter("dense.kernel", network.dense.kernel, network.dense.scales)
    bias_scale = network.dense.scales * np.float32(network.conv2.output.scale)
    bias = graph.parameter("dense.bias", network.dense.bias, bias_scale)
    logits = graph.rounded(graph.node("Gemm", [mean, kernel, bias], "logits", transB=1), network.dense.output)
    graph.node("Softmax", [logits], "probabilities", axis=1)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "motion",
            [helper.make_tensor_value_info("window", TensorProto.FLOAT, ["n", 100, 6])],
            [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 4])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", 13)],
        producer_name="make-models",
    )
    model.ir_version = 8  # the oldest that has what is used here: old runtimes read it too
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))
