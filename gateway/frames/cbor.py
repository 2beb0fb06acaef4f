"""Decodes CBOR (RFC 8949) within bounds, with typed arrays (RFC 8746) as NumPy arrays.

An own reader of what sensors send: general decoders run dates, regular
expressions, fractions and shared references that a payload may name, and
their bounds differ by version.

1. Nothing is allocated for a declared length before the bytes are there.
2. Tags that only describe (dates, self-description ...) are passed over.
3. References (tags 25, 28, 29, 256) are refused: they make trees into graphs.
"""

from __future__ import annotations

import math
import struct

import numpy as np

from gateway.errors import Malformed, TooLarge, UnknownMedia
from gateway.frames.limits import PayloadLimits
from gateway.frames.shape import resolve_shape
from gateway.frames.tensors import native_order
from gateway.frames.tree import MAX_CONTAINERS, MAX_ITEMS, Tree
from gateway.tensor import Array

_ARGUMENT = {24: ">B", 25: ">H", 26: ">I", 27: ">Q"}
_FLOAT = {25: ">e", 26: ">f", 27: ">d"}
_SIMPLE: dict[int, bool | None] = {20: False, 21: True, 22: None, 23: None}
_INDEFINITE = 31
_BREAK = 0xFF
_REFERENCES = frozenset({25, 28, 29, 256})
_BIG_POSITIVE, _BIG_NEGATIVE = 2, 3
_ROW_MAJOR, _COLUMN_MAJOR = 40, 1040
_MAX_BIG_BYTES = 128  # 2**1024, where float64 ends

# RFC 8746: the five low bits of a tag from 64 are float, signed, little-endian, and two of size.
_TYPED = {
    64: ">u1", 65: ">u2", 66: ">u4", 67: ">u8", 68: "<u1", 69: "<u2", 70: "<u4", 71: "<u8",
    72: ">i1", 73: ">i2", 74: ">i4", 75: ">i8", 77: "<i2", 78: "<i4", 79: "<i8",
    80: ">f2", 81: ">f4", 82: ">f8", 84: "<f2", 85: "<f4", 86: "<f8",
}  # fmt: skip
_UNREADABLE_TYPED = frozenset({76, 83, 87})  # reserved, and 128-bit floats


def loads(data: memoryview, limits: PayloadLimits) -> Tree:
    """Decode one CBOR item that fills ``data``.

    Args:
        data: The whole payload; only read, nothing keeps a view on it.
        limits: Bounds on bytes, elements and nesting.

    Returns:
        None, bool, int, float, str, bytes, list, dict, or a NumPy array.

    Raises:
        Malformed: The bytes are cut, too many, or no CBOR.
        UnknownMedia: References or 128-bit floats.
        TooLarge: Too many bytes, items or elements, or nested too deep.
        WrongShape: A multi-dimensional array that its elements do not fill.
    """
    if len(data) > limits.max_bytes:
        raise TooLarge(f"application/cbor: {len(data)} bytes are more than {limits.max_bytes}")
    reader = _Reader(data, limits)
    try:
        tree = reader.item(0)
    except (struct.error, IndexError) as error:
        raise Malformed("application/cbor: the payload is cut off") from error
    if reader.position != len(data):
        raise Malformed(f"application/cbor: {len(data) - reader.position} bytes after the item")
    return tree


class _Reader:
    """A cursor over the bytes, with counts of what was made."""

    __slots__ = ("containers", "data", "items", "limits", "position")

    def __init__(self, data: memoryview, limits: PayloadLimits) -> None:
        self.data = data
        self.limits = limits
        self.position = 0
        self.items = 0
        self.containers = 0

    def item(self, depth: int) -> Tree:
        """Read the item at the cursor."""
        initial = self.data[self.position]
        self.position += 1
        self.items += 1
        if self.items > MAX_ITEMS:
            raise TooLarge(f"application/cbor: more than {MAX_ITEMS} items; use a typed array")
        major, info = initial >> 5, initial & 31
        if major == 7:
            return self._simple(info)
        if info == _INDEFINITE:
            return self._indefinite(major, depth)
        argument = info if info < 24 else self._argument(info)
        if major == 0:
            return argument
        if major == 1:
            return -1 - argument
        if major == 2:
            return bytes(self._take(argument))
        if major == 3:
            return _text(self._take(argument))
        if major == 6:
            return self._tagged(argument, depth)
        return self._container(major, argument, depth)

    def _argument(self, info: int) -> int:
        form = _ARGUMENT.get(info)
        if form is None:
            raise Malformed(f"application/cbor: length {info} is reserved")
        return int(self._unpack(form))

    def _unpack(self, form: str) -> int | float:
        value: int | float
        (value,) = struct.unpack_from(form, self.data, self.position)
        self.position += struct.calcsize(form)
        return value

    def _take(self, length: int) -> memoryview:
        if length > len(self.data) - self.position:
            raise Malformed(f"application/cbor: a string of {length} bytes is cut off")
        start = self.position
        self.position += length
        return self.data[start : self.position]

    def _simple(self, info: int) -> bool | float | None:
        if info in _FLOAT:
            return self._unpack(_FLOAT[info])
        if info in _SIMPLE:
            return _SIMPLE[info]
        raise Malformed(f"application/cbor: simple value {info} has no meaning here")

    def _enter(self, depth: int) -> int:
        self.containers += 1
        if depth >= self.limits.max_depth:
            raise TooLarge(f"application/cbor: nested deeper than {self.limits.max_depth}")
        if self.containers > MAX_CONTAINERS:
            raise TooLarge(f"application/cbor: more than {MAX_CONTAINERS} arrays, maps and tags")
        return depth + 1

    def _container(self, major: int, length: int, depth: int) -> Tree:
        inner = self._enter(depth)
        width = 1 if major == 4 else 2
        if length * width > len(self.data) - self.position:
            raise Malformed(f"application/cbor: a container of {length} items is cut off")
        if major == 4:
            return [self.item(inner) for _ in range(length)]
        return {self._key(inner): self.item(inner) for _ in range(length)}

    def _indefinite(self, major: int, depth: int) -> Tree:
        """Read items up to the break byte."""
        if major not in (2, 3, 4, 5):
            raise Malformed("application/cbor: this type has no indefinite length")
        inner = self._enter(depth)
        if major == 5:
            pairs = {}
            while self.data[self.position] != _BREAK:
                key = self._key(inner)
                pairs[key] = self.item(inner)
            self.position += 1
            return pairs
        items = []
        while self.data[self.position] != _BREAK:
            if major != 4 and (self.data[self.position] >> 5 != major or self._next_is_indefinite()):
                raise Malformed("application/cbor: a string in pieces of another kind")
            items.append(self.item(inner))
        self.position += 1
        if major == 4:
            return items
        return b"".join(items) if major == 2 else "".join(items)

    def _next_is_indefinite(self) -> bool:
        return self.data[self.position] & 31 == _INDEFINITE

    def _key(self, depth: int) -> int | str | bytes:
        key = self.item(depth)
        if isinstance(key, (int, str, bytes)) and not isinstance(key, bool):
            return key
        raise Malformed("application/cbor: a map's key is neither a number nor a string")

    def _tagged(self, tag: int, depth: int) -> Tree:
        if tag in _REFERENCES or tag in _UNREADABLE_TYPED:
            raise UnknownMedia(f"application/cbor: tag {tag} is not taken")
        inner = self.item(self._enter(depth))
        if tag in _TYPED:
            return self._typed(_TYPED[tag], inner)
        if tag in (_BIG_POSITIVE, _BIG_NEGATIVE):
            return _big(inner, negative=tag == _BIG_NEGATIVE)
        if tag in (_ROW_MAJOR, _COLUMN_MAJOR):
            return _folded(inner, "C" if tag == _ROW_MAJOR else "F")
        return inner

    def _typed(self, descr: str, content: Tree) -> Array:
        dtype = np.dtype(descr)
        if not isinstance(content, bytes) or len(content) % dtype.itemsize:
            raise Malformed("application/cbor: a typed array without a whole number of elements")
        if len(content) // dtype.itemsize > self.limits.max_elements:
            raise TooLarge(f"application/cbor: a typed array above max_elements {self.limits.max_elements}")
        return native_order(np.frombuffer(content, dtype))


def _text(data: memoryview) -> str:
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"application/cbor: text that is not UTF-8 at byte {error.start}") from error


def _big(content: Tree, *, negative: bool) -> float:
    """Return a big integer as the nearest float; beyond float64 as infinity."""
    if not isinstance(content, bytes):
        raise Malformed("application/cbor: a big integer without bytes")
    if len(content.lstrip(b"\0")) > _MAX_BIG_BYTES:
        size = math.inf
    else:
        try:
            size = float(int.from_bytes(content, "big"))
        except OverflowError:
            size = math.inf
    return -1.0 - size if negative else size


def _folded(content: Tree, order: str) -> Array:
    """Return a multi-dimensional array: [sizes, elements]."""
    match content:
        case [list() | np.ndarray() as sizes, list() | np.ndarray() as elements]:
            pass
        case _:
            raise Malformed("application/cbor: a multi-dimensional array is [sizes, elements]")
    shape = tuple(sizes)
    if len(shape) > 32 or not all(isinstance(size, (int, np.integer)) and size >= 1 for size in shape):
        raise Malformed("application/cbor: the sizes of an array are whole numbers above 0")
    try:
        flat = elements if isinstance(elements, np.ndarray) else np.array(elements, dtype=np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise Malformed("application/cbor: an array's elements are not numbers") from error
    sized = resolve_shape(tuple(int(size) for size in shape), flat.size)
    return flat.reshape(sized, order="C" if order == "C" else "F")
