"""The models of the serving cases: the shipped ones, their frames, and two that wait or swallow bytes."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import harness
import numpy as np

from tests.onnx_writer import Graph, node, write

_CARD = """\
name: {name}
version: 1.0.0
summary: Made for measuring.
source: Made by scripts/bench
licence: Apache-2.0
file: model.onnx
sha256: {sha256}
format: onnx
inputs:
  - {{name: {input}, dtype: {dtype}, shape: {shape}}}
outputs:
  - {{name: {output}, dtype: float32, shape: {gives}}}
"""
# A turn of the loop takes some microseconds: this many keep a lane for a good part of a second.
SLOW_TURNS = 50_000
SINK_FLOATS = 150_000


@dataclass(frozen=True)
class Served:
    """One model of the cases.

    Attributes:
        name: What it is called.
        folder: Its model folder, with a card.
        input: Name of its input.
        datatype: The protocol's name of its type.
        frame: One input.
    """

    name: str
    folder: Path
    input: str
    datatype: str
    frame: np.ndarray  # type: ignore[type-arg]

    @property
    def file(self) -> Path:
        """The model file, for servers that know no card."""
        return self.folder / "model.onnx"

    def body(self, timeout_us: int = 0) -> tuple[bytes, int]:
        """Return a request of the protocol in binary, and how many of its bytes are JSON."""
        data = self.frame.tobytes()
        tensor = {
            "name": self.input,
            "datatype": self.datatype,
            "shape": list(self.frame.shape),
            "parameters": {"binary_data_size": len(data)},
        }
        parameters: dict[str, object] = {"binary_data_output": True}
        if timeout_us:
            parameters["timeout"] = timeout_us
        head = json.dumps({"parameters": parameters, "inputs": [tensor]}, separators=(",", ":")).encode()
        return head + data, len(head)


def made(folder: Path) -> dict[str, Served]:
    """Write the models into ``folder`` and return them by name."""
    from PIL import Image

    picture = Image.open(harness.ROOT / "gateway/demo/data/chelsea.png").convert("RGB").resize((224, 224))
    eff = folder / "eff"
    eff.mkdir()
    (eff / "model.onnx").write_bytes(_of_pixels(harness.ONNX_FILE.read_bytes()))
    small = folder / "small"
    small.mkdir()
    (small / "model.onnx").write_bytes(
        (harness.ROOT / "models/motion-int8-onnx/motion_int8_qdq.onnx").read_bytes()
    )
    slow = folder / "slow"
    slow.mkdir()
    _slow(slow / "model.onnx")
    sink = folder / "sink"
    sink.mkdir()
    ports = ([("x", "float32", (1, SINK_FLOATS))], [("y", "float32", (1, 1))])
    write(sink / "model.onnx", Graph([node("ReduceMax", ["x"], ["y"], keepdims=1)], *ports))
    window = np.random.default_rng(1).normal(size=(1, 100, 6)).astype(np.float32)
    values = np.random.default_rng(2).normal(size=(1, SINK_FLOATS)).astype(np.float32)
    for name, words in {
        "eff": ("frame", "uint8", [-1, 224, 224, 3], "logits", [-1, 1000]),
        "small": ("window", "float32", [-1, 100, 6], "probabilities", [-1, 4]),
        "slow": ("x", "float32", [1, 4], "y", [1, 4]),
        "sink": ("x", "float32", [1, SINK_FLOATS], "y", [1, 1]),
    }.items():
        carded(folder / name, *words)
    return {
        "eff": Served("eff", eff, "frame", "UINT8", np.asarray(picture, np.uint8)[None]),
        "small": Served("small", small, "window", "FP32", window),
        "slow": Served("slow", slow, "x", "FP32", np.ones((1, 4), np.float32)),
        "sink": Served("sink", sink, "x", "FP32", values),
    }


def carded(folder: Path, input_: str, dtype: str, shape: list[int], output: str, gives: list[int]) -> None:
    sha256 = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    text = _CARD.format(
        name=folder.name, sha256=sha256, input=input_, dtype=dtype, shape=shape, output=output, gives=gives
    )
    (folder / "card.yaml").write_text(text)


def _slow(path: Path) -> None:
    body = Graph(
        [node("Identity", ["go"], ["go_on"]), node("Add", ["sum", "x"], ["next"])],
        [("turn", "int64", ()), ("go", "bool", ()), ("sum", "float32", (1, 4))],
        [("go_on", "bool", ()), ("next", "float32", (1, 4))],
    )
    constants = {"turns": np.array(SLOW_TURNS, np.int64), "yes": np.array(True)}
    ports = ([("x", "float32", (1, 4))], [("y", "float32", (1, 4))])
    write(path, Graph([node("Loop", ["turns", "yes", "x"], ["y"], body=body)], *ports, constants))


def _of_pixels(model: bytes) -> bytes:
    """Return the classifier with what comes before it inside: uint8 (N, 224, 224, 3) to its floats."""
    before = [
        node("Cast", ["frame"], ["floats"], to=1),
        node("Sub", ["floats", "mean"], ["centred"]),
        node("Div", ["centred", "std"], ["scaled"]),
        node("Transpose", ["scaled"], ["input"]) + _field(5, _permutation(0, 3, 1, 2)),
    ]
    parts = []
    for number, raw in _fields(model):
        if number == 7:
            graph = b"".join(_field(1, each) for each in before)
            graph += b"".join(
                _field(5, _scalar(name, value)) for name, value in (("mean", 127.0), ("std", 128.0))
            )
            graph += b"".join(_whole(at, part) for at, part in _fields(raw) if at != 11)
            parts.append(_field(7, graph + _field(11, _frame_port())))
        else:
            parts.append(_whole(number, raw))
    return b"".join(parts)


def _permutation(*axes: int) -> bytes:
    return _field(1, b"perm") + b"".join(_number(8, axis) for axis in axes) + _number(20, 7)


def _scalar(name: str, value: float) -> bytes:
    return _number(2, 1) + _field(8, name.encode()) + _field(9, struct.pack("<f", value))


def _frame_port() -> bytes:
    sizes = _field(1, _field(2, b"batch")) + b"".join(_field(1, _number(1, size)) for size in (224, 224, 3))
    return _field(1, b"frame") + _field(2, _field(1, _number(1, 2) + _field(2, sizes)))


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the fields of a protobuf message; a number stands for itself, packed again as it came."""
    at = 0
    while at < len(data):
        key, at = _varint_at(data, at)
        if key & 7 == 2:
            length, at = _varint_at(data, at)
            yield key >> 3, data[at : at + length]
            at += length
        else:
            assert key & 7 == 0, "an ONNX file has no other fields at this level"
            begin = at
            _, at = _varint_at(data, at)
            yield -(key >> 3), data[begin:at]


def _whole(number: int, raw: bytes) -> bytes:
    return _field(number, raw) if number > 0 else _varint(-number << 3) + raw


def _varint_at(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return value, at


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _field(number: int, raw: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(raw)) + raw


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)
