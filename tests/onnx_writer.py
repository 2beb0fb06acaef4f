"""Writes tiny .onnx files for tests: protobuf by hand, so that files can lie which no library would write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

_TYPES = {"float32": 1, "int64": 7, "string": 8, "bool": 9, "float16": 10}
_INT, _GRAPH = 2, 5
# A size, or the name of an axis of any size.
Port = tuple[str, str, tuple[int | str, ...]]


@dataclass(frozen=True)
class External:
    """Where a tensor's bytes are said to lie."""

    location: str
    offset: str = ""
    length: str = ""


@dataclass(frozen=True)
class Graph:
    """Nodes (encoded), constants, and ports as (name, dtype, shape)."""

    nodes: Sequence[bytes]
    inputs: Sequence[Port]
    outputs: Sequence[Port]
    constants: Mapping[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    external: Mapping[str, External] = field(default_factory=dict)


def write(path: Path, graph: Graph, metadata: Mapping[str, str] | None = None) -> Path:
    """Write one model."""
    body = _int(1, 8) + _bytes(2, b"test") + _bytes(7, _graph(graph))
    body += _bytes(8, _bytes(1, b"") + _int(2, 17))
    body += _bytes(8, _bytes(1, b"odd.domain") + _int(2, 1))
    for key, value in (metadata or {}).items():
        body += _bytes(14, _bytes(1, key.encode()) + _bytes(2, value.encode()))
    path.write_bytes(body)
    return path


def node(
    kind: str, inputs: Sequence[str], outputs: Sequence[str], *, domain: str = "", **attributes: Any
) -> bytes:
    """Return one node."""
    body = b"".join(_bytes(1, name.encode()) for name in inputs)
    body += b"".join(_bytes(2, name.encode()) for name in outputs)
    body += _bytes(3, f"{kind}_{outputs[0]}".encode()) + _bytes(4, kind.encode())
    body += b"".join(_bytes(5, _attribute(name, value)) for name, value in attributes.items())
    return body + (_bytes(7, domain.encode()) if domain else b"")


def product(path: Path, seed: int = 1, **more: Any) -> Path:
    """Write a float32 model (1, 16) to (1, 4): a matrix product."""
    weights = np.random.default_rng(seed).normal(size=(16, 4)).astype(np.float32)
    ports = ([("x", "float32", (1, 16))], [("y", "float32", (1, 4))])
    return write(path, Graph([node("MatMul", ["x", "w"], ["y"])], *ports, {"w": weights}), **more)


def halved(path: Path, seed: int = 1) -> Path:
    """Write the same model with its weights in float16, as converters do: inputs and outputs stay float32."""
    weights = np.random.default_rng(seed).normal(size=(16, 4)).astype(np.float16)
    ports = ([("x", "float32", (1, 16))], [("y", "float32", (1, 4))])
    nodes = [
        node("Cast", ["x"], ["x16"], to=_TYPES["float16"]),
        node("MatMul", ["x16", "w"], ["y16"]),
        node("Cast", ["y16"], ["y"], to=_TYPES["float32"]),
    ]
    return write(path, Graph(nodes, *ports, {"w": weights}))


def beside(path: Path, where: External) -> Path:
    """Write the same model with its weights where ``where`` says."""
    shape = np.zeros((16, 4), np.float32)
    ports = ([("x", "float32", (1, 16))], [("y", "float32", (1, 4))])
    graph = Graph([node("MatMul", ["x", "w"], ["y"])], *ports, {"w": shape}, {"w": where})
    return write(path, graph)


def root(path: Path) -> Path:
    """Write a float32 model (1, 4) to its square root: NaN for what is negative, sound for zeros."""
    ports = ([("x", "float32", (1, 4))], [("y", "float32", (1, 4))])
    return write(path, Graph([node("Sqrt", ["x"], ["y"])], *ports))


def half_sound(path: Path) -> Path:
    """Write a float32 model (1, 4) to itself, ``y``, and to its square root, ``z``."""
    ports = ([("x", "float32", (1, 4))], [("y", "float32", (1, 4)), ("z", "float32", (1, 4))])
    return write(path, Graph([node("Identity", ["x"], ["y"]), node("Sqrt", ["x"], ["z"])], *ports))


def words(path: Path) -> Path:
    """Write a model of text: ``shout`` is ``text`` (rows of 2) as it is, and ``first`` is ``more`` (of 1)."""
    ports = (
        [("text", "string", ("batch", 2)), ("more", "string", ("batch", 1))],
        [("shout", "string", ("batch", 2)), ("first", "string", ("batch", 1))],
    )
    return write(
        path, Graph([node("Identity", ["text"], ["shout"]), node("Identity", ["more"], ["first"])], *ports)
    )


def doubled(path: Path) -> Path:
    """Write a model of texts (1, any): all of them, and all of them again."""
    ports = ([("text", "string", (1, "words"))], [("doubled", "string", (1, "more"))])
    return write(path, Graph([node("Concat", ["text", "text"], ["doubled"], axis=1)], *ports))


def counted(path: Path) -> Path:
    """Write a model of texts (rows of 2) that stand for whole numbers: ``sum`` is both of them added."""
    ports = (
        [("one", "string", ("batch", 2)), ("other", "string", ("batch", 2))],
        [("sum", "string", ("batch", 2))],
    )
    nodes = [
        node("Cast", ["one"], ["a"], to=_TYPES["int64"]),
        node("Cast", ["other"], ["b"], to=_TYPES["int64"]),
        node("Add", ["a", "b"], ["c"]),
        node("Cast", ["c"], ["sum"], to=_TYPES["string"]),
    ]
    return write(path, Graph(nodes, *ports))


def endless(path: Path, turns: int = 1 << 62) -> Path:
    """Write a model (1, 4) to (1, 4) that adds to its input ``turns`` times."""
    body = Graph(
        [node("Identity", ["go"], ["go_on"]), node("Add", ["sum", "x"], ["next"])],
        [("turn", "int64", ()), ("go", "bool", ()), ("sum", "float32", (1, 4))],
        [("go_on", "bool", ()), ("next", "float32", (1, 4))],
    )
    constants = {"turns": np.array(turns, np.int64), "yes": np.array(True)}
    ports = ([("x", "float32", (1, 4))], [("y", "float32", (1, 4))])
    return write(path, Graph([node("Loop", ["turns", "yes", "x"], ["y"], body=body)], *ports, constants))


def bomb(path: Path, elements: int = 1 << 36) -> Path:
    """Write a small model (1, 4) to (1, 4) that wants 4 bytes for each of ``elements``."""
    nodes = [
        node("ConstantOfShape", ["size"], ["vast"]),
        node("ReduceSum", ["vast"], ["total"], keepdims=0),
        node("Add", ["x", "total"], ["y"]),
    ]
    ports = ([("x", "float32", (1, 4))], [("y", "float32", (1, 4))])
    return write(path, Graph(nodes, *ports, {"size": np.array([elements], np.int64)}))


def foreign(path: Path) -> Path:
    """Write a model whose only operator comes out of nobody's library."""
    ports = ([("x", "float32", (1, 4))], [("y", "float32", (1, 4))])
    return write(path, Graph([node("Custom", ["x"], ["y"], domain="odd.domain")], *ports))


def _graph(graph: Graph) -> bytes:
    body = b"".join(_bytes(1, each) for each in graph.nodes) + _bytes(2, b"main")
    for name, array in graph.constants.items():
        body += _bytes(5, _tensor(name, array, graph.external.get(name)))
    body += b"".join(_bytes(11, _port(*port)) for port in graph.inputs)
    return body + b"".join(_bytes(12, _port(*port)) for port in graph.outputs)


def _tensor(name: str, array: np.ndarray[Any, Any], external: External | None) -> bytes:
    body = b"".join(_int(1, size) for size in array.shape) + _int(2, _TYPES[array.dtype.name])
    body += _bytes(8, name.encode())
    if external is None:
        return body + _bytes(9, array.tobytes())
    for key, value in vars(external).items():
        if value:
            body += _bytes(13, _bytes(1, key.encode()) + _bytes(2, value.encode()))
    return body + _int(14, 1)


def _port(name: str, dtype: str, shape: tuple[int | str, ...]) -> bytes:
    sizes = b"".join(
        _bytes(1, _bytes(2, size.encode()) if isinstance(size, str) else _int(1, size)) for size in shape
    )
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, _int(1, _TYPES[dtype]) + _bytes(2, sizes)))


def _attribute(name: str, value: Any) -> bytes:
    head = _bytes(1, name.encode())
    if isinstance(value, Graph):
        return head + _bytes(6, _graph(value)) + _int(20, _GRAPH)
    return head + _int(3, value) + _int(20, _INT)


def _int(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _bytes(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
