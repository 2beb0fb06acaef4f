"""Which other files an ONNX model makes the runtime open: its external data, read without the runtime.

A small walk over the protobuf, bounded in time and depth; tensors are skipped, so
a large model costs no memory. It names more rather than less: a location counts
wherever one stands, whether the runtime would follow it or not.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gateway.errors import LoadFailed

MOST_FIELDS: Final = 8_000_000
MOST_DEPTH: Final = 64
MOST_FILES: Final = 64
_MOST_NAME_BYTES: Final = 255
_MOST_VARINT_BYTES: Final = 10
_LOCATION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)?")

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
    "tensor": {13: "entry"},
}
_KEY, _VALUE = 1, 2
_LOCATION_KEY: Final = b"location"


def external_files(path: Path) -> tuple[str, ...]:
    """Return the files beside the model that hold its external data, each once, in order.

    Args:
        path: An .onnx file; it is mapped while it is read.

    Raises:
        LoadFailed: It cannot be read, is no protobuf of a model, is beyond the bounds, or names a file
            other than ``NAME`` or ``FOLDER/NAME`` (absolute, ``..``, odd letters).
    """
    try:
        with path.open("rb") as file:
            if not path.stat().st_size:
                raise LoadFailed(f"{path}: is empty")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                found = _locations(data, path)
    except (OSError, ValueError) as error:
        raise LoadFailed(f"{path}: cannot be read: {error}") from error
    return tuple(dict.fromkeys(_checked(location, path) for location in found))


def _checked(location: bytes, path: Path) -> str:
    try:
        text = location.decode("ascii")
    except UnicodeDecodeError:
        text = ""
    if len(location) > _MOST_NAME_BYTES or not _LOCATION.fullmatch(text):
        shown = ascii(location[:80])[1:]
        raise LoadFailed(
            f"{path}: external data at {shown}: only NAME or FOLDER/NAME beside the model is read"
        )
    return text


def _locations(data: mmap.mmap, path: Path) -> list[bytes]:
    """Walk from the outermost message to every entry of a tensor's external data."""
    found: list[bytes] = []
    walk = _Walk(data, path)
    left = [("model", 0, len(data), 0)]
    while left:
        kind, start, end, depth = left.pop()
        if depth > MOST_DEPTH:
            raise LoadFailed(f"{path}: nested deeper than {MOST_DEPTH}")
        inner = _MESSAGES[kind]
        for number, first, last in walk.fields(start, end):
            below = inner.get(number)
            if below == "entry":
                found += _entry(walk, first, last)
            elif below is not None:
                left.append((below, first, last, depth + 1))
        if len(set(found)) > MOST_FILES:
            raise LoadFailed(f"{path}: names more than {MOST_FILES} files of external data")
    return found


def _entry(walk: _Walk, start: int, end: int) -> list[bytes]:
    """Return the values of one key-value pair if any of its keys says that they are a location."""
    keys, values = [], []
    for number, first, last in walk.fields(start, end):
        part = walk.part(first, min(last, first + _MOST_NAME_BYTES + 1))
        if number == _KEY:
            keys.append(part)
        elif number == _VALUE:
            values.append(part)
    return (values or [b""]) if _LOCATION_KEY in keys else []


class _Walk:
    """Reads fields out of mapped bytes and counts them."""

    def __init__(self, data: mmap.mmap, path: Path) -> None:
        self._data = data
        self._path = path
        self._seen = 0

    def part(self, start: int, end: int) -> bytes:
        """Return a copy of a few bytes."""
        return self._data[start:end]

    def fields(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Yield number, begin and end of every length-delimited field of a message; others are skipped."""
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
                yield number, at, at + size
                at += size
            elif wire == _VARINT:
                _, at = self._varint(at, end)
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
