"""Walks the protobuf of an ONNX file down to its tensors, without the runtime and within bounds. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from gateway.errors import LoadFailed
from gateway.inference.octets import Octets

MOST_FIELDS: Final = 8_000_000
MOST_DEPTH: Final = 64
_MOST_VARINT_BYTES: Final = 10
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# Message by message: the fields that can hold a tensor further down, by number.
_MESSAGES: Final[dict[str, dict[int, str]]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}


class Field(NamedTuple):
    """One field of a message.

    Attributes:
        number: The field's number.
        start: Where its bytes begin; for a number, 0.
        end: Where they end; for a number, 0.
        value: The number; 0 for bytes.
    """

    number: int
    start: int
    end: int
    value: int


class OnnxFields:
    """Reads fields out of mapped bytes and counts them, so that no file takes for ever.

    Args:
        data: The whole file, mapped or held; borrowed.
        path: What complaints call it.
    """

    def __init__(self, data: Octets, path: Path) -> None:
        self._data = data
        self._path = path
        self._seen = 0

    def tensors(self) -> Iterator[tuple[int, int]]:
        """Yield begin and end of every tensor, wherever in the model it is.

        Raises:
            LoadFailed: The bytes are no protobuf of a model, or beyond the bounds.
        """
        left = [("model", 0, len(self._data), 0)]
        while left:
            kind, start, end, depth = left.pop()
            if depth > MOST_DEPTH:
                raise LoadFailed(f"{self._path}: nested deeper than {MOST_DEPTH}")
            inner = _MESSAGES[kind]
            for field in self.fields(start, end):
                below = inner.get(field.number) if field.end else None
                if below == "tensor":
                    yield field.start, field.end
                elif below is not None:
                    left.append((below, field.start, field.end, depth + 1))

    def part(self, start: int, end: int) -> bytes:
        """Return a copy of a few bytes."""
        return self._data[start:end]

    def fields(self, start: int, end: int) -> Iterator[Field]:
        """Yield the numbers and the bytes of a message; fields of fixed width are skipped.

        Raises:
            LoadFailed: They are no fields, or the file holds too many.
        """
        at = start
        while at < end:
            self._seen += 1
            if self._seen > MOST_FIELDS:
                raise LoadFailed(f"{self._path}: more than {MOST_FIELDS} fields")
            tag, at = self._varint(at, end)
            number, wire = tag >> 3, tag & 7
            if number == 0:
                raise self._broken(at)
            if wire == _BYTES:
                size, at = self._varint(at, end)
                if size > end - at:
                    raise self._broken(at)
                yield Field(number, at, at + size, 0)
                at += size
            elif wire == _VARINT:
                value, at = self._varint(at, end)
                yield Field(number, 0, 0, value)
            elif wire in (_FIXED64, _FIXED32):
                at += 8 if wire == _FIXED64 else 4
                if at > end:
                    raise self._broken(at)
            else:
                raise self._broken(at)

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value = shift = 0
        data = self._data
        for index in range(at, min(end, at + _MOST_VARINT_BYTES)):
            byte = data[index]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, index + 1
            shift += 7
        raise self._broken(at)

    def _broken(self, at: int) -> LoadFailed:
        return LoadFailed(f"{self._path}: not the protobuf of an ONNX model, at byte {at}")
