"""Writes the quantised network as TFLite: int8 in and out, batch of 1."""

from __future__ import annotations

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from models_parts.network import STRIDE
from models_parts.quantised import PROBABILITIES, Codes, Layer, Quantised

TYPES = {"int8": schema.TensorType.INT8, "int32": schema.TensorType.INT32}


class AlignedBuffer(schema.BufferT):
    """A buffer whose bytes start at a multiple of 16, as the format demands and vector loads like."""

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802 - the generated class calls it so
        """Write the buffer into a flatbuffer; return where."""
        builder.StartVector(1, len(self.data), 16)
        builder.head -= len(self.data)
        builder.Bytes[builder.head : builder.head + len(self.data)] = bytes(self.data)
        content = builder.EndVector()
        schema.BufferStart(builder)
        schema.BufferAddData(builder, content)
        return int(schema.BufferEnd(builder))


class Model:
    """Collects buffers, tensors and operators."""

    def __init__(self) -> None:
        self.buffers = [schema.BufferT()]  # number 0 is empty by definition
        self.tensors: list[schema.TensorT] = []
        self.operators: list[schema.OperatorT] = []
        self.kinds: list[tuple[int, int]] = []

    def _tensor(
        self, name: str, shape: tuple[int, ...], dtype: str, scales: list[float], zero_points: list[int]
    ) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), TYPES[dtype], 0
        if scales:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = scales, zero_points
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def activation(self, name: str, shape: tuple[int, ...], codes: Codes) -> int:
        """Add an int8 tensor that is computed; return its index."""
        return self._tensor(name, shape, "int8", [codes.scale], [codes.zero_point])

    def constant(self, name: str, array: NDArray[np.generic], scales: list[float]) -> int:
        """Add a constant; scales, if many, belong to axis 0. Return its index."""
        index = self._tensor(name, array.shape, str(array.dtype), scales, [0] * len(scales))
        buffer = AlignedBuffer()
        buffer.data = np.ascontiguousarray(array).tobytes()
        self.tensors[index].buffer = len(self.buffers)
        self.buffers.append(buffer)
        return index

    def operator(
        self, kind: tuple[int, int], inputs: list[int], output: int, options: tuple[int, object]
    ) -> int:
        """Add an operator, ``kind`` being (builtin code, version); return its output."""
        if kind not in self.kinds:
            self.kinds.append(kind)
        operator = schema.OperatorT()
        operator.opcodeIndex = self.kinds.index(kind)
        operator.inputs, operator.outputs = inputs, [output]
        operator.builtinOptionsType, operator.builtinOptions = options
        self.operators.append(operator)
        return output

    def encode(self, given: int, result: int) -> bytes:
        """Return the file's bytes, with one input and one output."""
        graph = schema.SubGraphT()
        graph.name, graph.tensors, graph.operators = "motion", self.tensors, self.operators
        graph.inputs, graph.outputs = [given], [result]
        model = schema.ModelT()
        model.version, model.description = 3, "made by make-models"
        model.buffers, model.subgraphs = self.buffers, [graph]
        model.operatorCodes = []
        for builtin, version in self.kinds:
            code = schema.OperatorCodeT()
            # Readers older than the wide field look at the narrow one.
            code.builtinCode = code.deprecatedBuiltinCode = builtin
            code.version = version
            model.operatorCodes.append(code)
        builder = flatbuffers.Builder(16_384)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())


def reshape(model: Model, tensor: int, name: str, shape: tuple[int, ...], codes: Codes) -> int:
    """Add a reshape; return its output."""
    options = schema.ReshapeOptionsT()
    options.newShape = list(shape)
    target = model.constant(f"{name}/shape", np.array(shape, np.int32), [])
    output = model.activation(name, shape, codes)
    kind = (schema.BuiltinOperator.RESHAPE, 1)
    return model.operator(kind, [tensor, target], output, (schema.BuiltinOptions.ReshapeOptions, options))


def convolution(model: Model, tensor: int, name: str, layer: Layer, given: Codes) -> int:
    """Add a convolution over time with ReLU, as a 2-D one whose height is 1; return its output."""
    before = model.tensors[tensor].shape[2]
    channels, taps, _ = layer.kernel.shape
    scales = [float(scale) for scale in layer.scales]
    kernel = model.constant(f"{name}/kernel", layer.kernel[:, None], scales)
    bias_scales = [float(np.float32(given.scale) * np.float32(scale)) for scale in scales]
    bias = model.constant(f"{name}/bias", layer.bias, bias_scales)
    options = schema.Conv2DOptionsT()
    options.padding, options.strideH, options.strideW = schema.Padding.VALID, 1, STRIDE
    options.dilationHFactor = options.dilationWFactor = 1
    options.fusedActivationFunction = schema.ActivationFunctionType.RELU
    output = model.activation(name, (1, 1, (before - taps) // STRIDE + 1, channels), layer.output)
    kind = (schema.BuiltinOperator.CONV_2D, 3)
    return model.operator(
        kind, [tensor, kernel, bias], output, (schema.BuiltinOptions.Conv2DOptions, options)
    )


def encode(network: Quantised) -> bytes:
    """Return the bytes of the model: window int8 (1, 100, 6) to probabilities int8 (1, 4)."""
    model = Model()
    window = model.activation("window", (1, 100, 6), network.window)
    flat = reshape(model, window, "image", (1, 1, 100, 6), network.window)
    first = convolution(model, flat, "conv1", network.conv1, network.window)
    second = convolution(model, first, "conv2", network.conv2, network.conv1.output)
    pooling = schema.ReducerOptionsT()
    axes = model.constant("mean/axes", np.array([1, 2], np.int32), [])
    mean = model.activation("mean", (1, network.conv2.kernel.shape[0]), network.conv2.output)
    model.operator(
        (schema.BuiltinOperator.MEAN, 2),
        [second, axes],
        mean,
        (schema.BuiltinOptions.ReducerOptions, pooling),
    )
    scale = float(network.dense.scales[0])
    kernel = model.constant("dense/kernel", network.dense.kernel, [scale])
    bias_scale = float(np.float32(network.conv2.output.scale) * np.float32(scale))
    bias = model.constant("dense/bias", network.dense.bias, [bias_scale])
    logits = model.activation("logits", (1, 4), network.dense.output)
    dense_kind = (schema.BuiltinOperator.FULLY_CONNECTED, 4)
    dense = (schema.BuiltinOptions.FullyConnectedOptions, schema.FullyConnectedOptionsT())
    model.operator(dense_kind, [mean, kernel, bias], logits, dense)
    softmax = schema.SoftmaxOptionsT()
    softmax.beta = 1.0
    result = model.activation("probabilities", (1, 4), PROBABILITIES)
    softmax_kind = (schema.BuiltinOperator.SOFTMAX, 2)
    model.operator(softmax_kind, [logits], result, (schema.BuiltinOptions.SoftmaxOptions, softmax))
    return model.encode(window, result)
