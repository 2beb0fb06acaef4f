"""Writes tiny .tflite files for tests, with the schema that ai-edge-litert ships."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "float16": schema.TensorType.FLOAT16,
    "int8": schema.TensorType.INT8,
    "uint8": schema.TensorType.UINT8,
    "int16": schema.TensorType.INT16,
    "int32": schema.TensorType.INT32,
    "bool": schema.TensorType.BOOL,
    "resource": schema.TensorType.RESOURCE,
}


@dataclass(frozen=True)
class Tensor:
    """A tensor of the graph; -1 in the shape marks an axis of any size."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    scale: float | Sequence[float] = 0.0
    zero_point: int = 0
    data: np.ndarray[Any, Any] | None = None
    variable: bool = False


@dataclass(frozen=True)
class Operator:
    """A node: operator, tensors by index, and its options."""

    code: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any = None


@dataclass(frozen=True)
class Graph:
    """A graph: what it holds, and which of its tensors go in and come out."""

    tensors: Sequence[Tensor]
    operators: Sequence[Operator]
    inputs: Sequence[int]
    outputs: Sequence[int]


def write(
    path: Path,
    tensors: Sequence[Tensor],
    operators: Sequence[Operator],
    inputs: Sequence[int],
    outputs: Sequence[int],
) -> Path:
    """Write one graph."""
    return write_graphs(path, [Graph(tensors, operators, inputs, outputs)])


def write_graphs(path: Path, graphs: Sequence[Graph]) -> Path:
    """Write several graphs; the first is the one that runs."""
    model = schema.ModelT()
    model.version = 3
    model.description = "test"
    model.operatorCodes = []
    model.buffers = [schema.BufferT()]
    model.subgraphs = [_graph(graph, index, model) for index, graph in enumerate(graphs)]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


def identity(path: Path, dtype: str, scale: float = 0.0, zero_point: int = 0, *, rows: int = 1) -> Path:
    """Write a model that gives back its (rows, 4) input; -1 rows for any number."""
    target = np.array([-1, 4], np.int32)
    tensors = [
        Tensor("x", dtype, (rows, 4), scale, zero_point),
        Tensor("shape", "int32", (2,), data=target),
        Tensor("y", dtype, (rows, 4), scale, zero_point),
    ]
    return write(path, tensors, [Operator(schema.BuiltinOperator.RESHAPE, (0, 1), (2,))], [0], [2])


def product(path: Path, seed: int = 1) -> Path:
    """Write an int8 model (1, 16) to (1, 4): a matrix product that XNNPACK can take."""
    rng = np.random.default_rng(seed)
    tensors = [
        Tensor("x", "int8", (1, 16), 0.05),
        Tensor("weights", "int8", (4, 16), 0.01, data=rng.integers(-127, 127, (4, 16)).astype(np.int8)),
        Tensor("bias", "int32", (4,), 0.0005, data=np.zeros(4, np.int32)),
        Tensor("y", "int8", (1, 4), 0.1),
    ]
    options = (schema.BuiltinOptions.FullyConnectedOptions, schema.FullyConnectedOptionsT())
    return write(
        path, tensors, [Operator(schema.BuiltinOperator.FULLY_CONNECTED, (0, 1, 2), (3,), options)], [0], [3]
    )


def lookup(path: Path, rows: int, columns: int) -> Path:
    """Write a model from an int32 (1) to a row of a float32 table, which is read where it lies."""
    table = np.arange(rows, dtype=np.float32).repeat(columns).reshape(rows, columns)
    tensors = [
        Tensor("x", "int32", (1,)),
        Tensor("table", "float32", (rows, columns), data=table),
        Tensor("y", "float32", (1, columns)),
    ]
    options = (schema.BuiltinOptions.GatherOptions, schema.GatherOptionsT())
    return write(path, tensors, [Operator(schema.BuiltinOperator.GATHER, (1, 0), (2,), options)], [0], [2])


def recurrent(path: Path) -> Path:
    """Write a float32 (1, 2) model that adds half of its last output unless it is reset."""
    tensors = [
        Tensor("x", "float32", (1, 2)),
        Tensor("weights", "float32", (2, 2), data=np.eye(2, dtype=np.float32)),
        Tensor("again", "float32", (2, 2), data=np.eye(2, dtype=np.float32) / 2),
        Tensor("bias", "float32", (2,), data=np.zeros(2, np.float32)),
        Tensor("hidden", "float32", (1, 2), variable=True),
        Tensor("y", "float32", (1, 2)),
    ]
    options = (schema.BuiltinOptions.RNNOptions, schema.RNNOptionsT())
    return write(
        path, tensors, [Operator(schema.BuiltinOperator.RNN, (0, 1, 2, 3, 4), (5,), options)], [0], [5]
    )


def hidden_state(path: Path) -> Path:
    """Write a model that keeps its input in a resource variable and gives that back."""
    handle = schema.VarHandleOptionsT()
    handle.container, handle.sharedName = "", "kept"
    tensors = [
        Tensor("x", "float32", (1, 2)),
        Tensor("kept", "resource", (1,)),
        Tensor("y", "float32", (1, 2)),
    ]
    code = schema.BuiltinOperator
    operators = [
        Operator(code.VAR_HANDLE, (), (1,), (schema.BuiltinOptions.VarHandleOptions, handle)),
        Operator(code.ASSIGN_VARIABLE, (1, 0), ()),
        Operator(code.READ_VARIABLE, (1,), (2,)),
    ]
    return write(path, tensors, operators, [0], [2])


def deadly(path: Path, x: Tensor | None = None, y: Tensor | None = None) -> Path:
    """Write a model that ends the process that loads it: two graphs, each a branch of the other.

    The runtime prepares a branch while it prepares the graph that holds it, until its
    stack is used up. No memory's accident decides that, and neither does a delegate.
    """
    x = x or Tensor("x", "float32", (1, 4))
    y = y or Tensor("y", "float32", (1, 4))
    tensors = [x, Tensor("always", "bool", (1,), data=np.ones(1, np.bool_)), y]

    def branching_to(other: int) -> Graph:
        options = schema.IfOptionsT()
        options.thenSubgraphIndex = options.elseSubgraphIndex = other
        kind = schema.BuiltinOptions.IfOptions
        operator = Operator(schema.BuiltinOperator.IF, (1, 0), (2,), (kind, options))
        return Graph(tensors, [operator], [0], [2])

    return write_graphs(path, [branching_to(1), branching_to(0)])


def vast(path: Path, elements: int) -> Path:
    """Write a small file whose two tensors are (1, elements) float32 each."""
    tensors = [
        Tensor("x", "float32", (1, elements)),
        Tensor("shape", "int32", (2,), data=np.array([1, elements], np.int32)),
        Tensor("y", "float32", (1, elements)),
    ]
    return write(path, tensors, [Operator(schema.BuiltinOperator.RESHAPE, (0, 1), (2,))], [0], [2])


def _graph(graph: Graph, index: int, model: Any) -> Any:
    made = schema.SubGraphT()
    made.name = f"graph{index}" if index else "main"
    made.tensors = [_tensor(tensor, model) for tensor in graph.tensors]
    made.operators = [_operator(operator, model) for operator in graph.operators]
    made.inputs, made.outputs = list(graph.inputs), list(graph.outputs)
    return made


def _tensor(tensor: Tensor, model: Any) -> Any:
    made = schema.TensorT()
    made.name, made.type, made.isVariable = tensor.name, _TYPES[tensor.dtype], tensor.variable
    made.shape = [abs(size) for size in tensor.shape]
    if -1 in tensor.shape:
        made.shapeSignature = list(tensor.shape)
    made.buffer = 0
    if tensor.data is not None:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(tensor.data.tobytes(), np.uint8)
        model.buffers.append(buffer)
        made.buffer = len(model.buffers) - 1
    scales = [tensor.scale] if isinstance(tensor.scale, float) else list(tensor.scale)
    if scales != [0.0]:
        made.quantization = schema.QuantizationParametersT()
        made.quantization.scale = scales
        made.quantization.zeroPoint = [tensor.zero_point] * len(scales)
    return made


def _operator(operator: Operator, model: Any) -> Any:
    code = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode = operator.code, min(operator.code, 127)
    code.version = 4 if operator.code == schema.BuiltinOperator.FULLY_CONNECTED else 1
    model.operatorCodes.append(code)
    made = schema.OperatorT()
    made.opcodeIndex = len(model.operatorCodes) - 1
    made.inputs, made.outputs = list(operator.inputs), list(operator.outputs)
    if operator.options is not None:
        made.builtinOptionsType, made.builtinOptions = operator.options
    return made
