"""Where in a model's files its weights lie, and what numbers they are."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.errors import LoadFailed
from gateway.inference.engines.onnx_fields import OnnxFields

# Smaller tensors are shapes, axes and scales more often than weights.
LEAST_BYTES: Final = 64
MOST_TENSORS: Final = 100_000

_ONNX_DTYPES: Final = {1: "float32", 2: "uint8", 3: "int8", 10: "float16"}
_DATA_TYPE, _RAW_DATA, _EXTERNAL_DATA, _KEY, _VALUE = 2, 9, 13, 1, 2
_TFLITE_DTYPES: Final = {0: "float32", 1: "float16", 3: "uint8", 9: "int8"}
_TFLITE_MARK: Final = b"TFL3"


@dataclass(frozen=True, slots=True)
class Weights:
    """One tensor's numbers in a file.

    Attributes:
        file: Name of the file beside the model; empty for the model file itself.
        offset: Where they begin.
        size_bytes: How many bytes there are.
        dtype: ``float32``, ``float16``, ``int8`` or ``uint8``.
    """

    file: str
    offset: int
    size_bytes: int
    dtype: str


def find_weights(path: Path, model_format: str) -> tuple[Weights, ...]:
    """Return the weights of a model, in the order in which they lie.

    Args:
        path: The model file; it is mapped while it is read.
        model_format: ``tflite`` or ``onnx``.

    Raises:
        LoadFailed: The file cannot be read or is not of the format.
    """
    try:
        with path.open("rb") as file:
            if not path.stat().st_size:
                raise LoadFailed(f"{path}: is empty")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                found = _onnx(data, path) if model_format == "onnx" else _tflite(data, path)
                weights = {each for each in found if each.size_bytes >= LEAST_BYTES}
    except (OSError, ValueError, struct.error, IndexError) as error:
        raise LoadFailed(f"{path}: its weights cannot be found: {error}") from error
    return tuple(sorted(weights, key=lambda each: (each.file, each.offset)))


def _onnx(data: mmap.mmap, path: Path) -> Iterator[Weights]:
    walk = OnnxFields(data, path)
    for start, end in walk.tensors():
        kind = 0
        raw: tuple[int, int] | None = None
        outside: dict[bytes, bytes] = {}
        for field in walk.fields(start, end):
            if field.number == _DATA_TYPE:
                kind = field.value
            elif field.number == _RAW_DATA:
                raw = (field.start, field.end)
            elif field.number == _EXTERNAL_DATA:
                pair = {
                    each.number: walk.part(each.start, min(each.end, each.start + 256))
                    for each in walk.fields(field.start, field.end)
                }
                outside[pair.get(_KEY, b"")] = pair.get(_VALUE, b"")
        dtype = _ONNX_DTYPES.get(kind)
        if dtype and raw:
            yield Weights("", raw[0], raw[1] - raw[0], dtype)
        elif dtype and b"location" in outside and b"length" in outside:
            name = outside[b"location"].decode("ascii", "replace")
            yield Weights(name, int(outside.get(b"offset", b"0")), int(outside[b"length"]), dtype)


def _tflite(data: mmap.mmap, path: Path) -> Iterator[Weights]:
    if data[4:8] != _TFLITE_MARK:
        raise LoadFailed(f"{path}: not a TFLite model")
    model = _Table(data, _u32(data, 0))
    buffers = model.tables(4)
    for graph in model.tables(2):
        for tensor in graph.tables(0):
            number = tensor.number(2, "<I")
            dtype = _TFLITE_DTYPES.get(tensor.number(1, "<b"))
            if dtype is None or not 0 < number < len(buffers):
                continue
            at = buffers[number].follow(0)
            if at:
                yield Weights("", at + 4, min(_u32(data, at), len(data) - at - 4), dtype)


class _Table:
    """One table of a FlatBuffer."""

    def __init__(self, data: mmap.mmap, at: int) -> None:
        self._data = data
        self._at = at
        (back,) = struct.unpack_from("<i", data, at)
        self._vtable = at - back

    def _place(self, field: int) -> int:
        """Return where a field stands; 0 if it is absent."""
        (size,) = struct.unpack_from("<H", self._data, self._vtable)
        entry = 4 + 2 * field
        if entry + 2 > size:
            return 0
        (offset,) = struct.unpack_from("<H", self._data, self._vtable + entry)
        return self._at + offset if offset else 0

    def number(self, field: int, form: str) -> int:
        place = self._place(field)
        return int(struct.unpack_from(form, self._data, place)[0]) if place else 0

    def follow(self, field: int) -> int:
        """Return where the vector or table of a field begins; 0 if it is absent."""
        place = self._place(field)
        return place + _u32(self._data, place) if place else 0

    def tables(self, field: int) -> list[_Table]:
        at = self.follow(field)
        if not at:
            return []
        count = _u32(self._data, at)
        if count > MOST_TENSORS:
            raise ValueError(f"a list of {count}")
        places = range(at + 4, at + 4 + 4 * count, 4)
        return [_Table(self._data, place + _u32(self._data, place)) for place in places]


def _u32(data: mmap.mmap, at: int) -> int:
    return int(struct.unpack_from("<I", data, at)[0])
