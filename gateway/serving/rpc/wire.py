"""Takes the tensors out of a protobuf message and puts them in, without copying them. Pure.

A message that was parsed holds a copy of its tensors, and gives out copies of that. Here
they are found in the bytes that came, as views, and joined to the bytes that go, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

Part = bytes | memoryview

_LENGTH_DELIMITED: Final = 2
_FIXED_BYTES: Final = {1: 8, 5: 4}
_LONGEST_TAG_BYTES: Final = 5
_LONGEST_VARINT_BYTES: Final = 10


def split(data: bytes, *numbers: int) -> tuple[bytes, tuple[list[memoryview], ...]] | None:
    """Part a message from the length-delimited values of some of its fields.

    Args:
        data: The message.
        numbers: The fields, each 1 to 15.

    Returns:
        The message without those fields, and the values of each in their order; None where the
        message is broken, or written in a way that only a full parser should judge.
    """
    view = memoryview(data)
    values: tuple[list[memoryview], ...] = tuple([] for _ in numbers)
    wanted = {number << 3 | _LENGTH_DELIMITED: found for number, found in zip(numbers, values, strict=True)}
    kept: list[memoryview] = []
    kept_from = at = 0
    end = len(data)
    while at < end:
        start = at
        tag = data[at]
        at += 1
        if tag >= 0x80:
            tag, at = _varint(data, start, _LONGEST_TAG_BYTES)
        if tag & 7 != _LENGTH_DELIMITED or at < 0:
            at = _after(data, at, tag & 7)
            if at < 0 or at > end:
                return None
            continue
        size, at = _varint(data, at, _LONGEST_VARINT_BYTES)
        after = at + size
        if at < 0 or after > end:
            return None
        found = wanted.get(tag)
        if found is not None:
            found.append(view[at:after])
            kept.append(view[kept_from:start])
            kept_from = after
        at = after
    kept.append(view[kept_from:])
    return b"".join(kept), values


def _after(data: bytes, at: int, kind: int) -> int:
    """Return where a number or a value of fixed size ends; beyond the data or negative where it does not."""
    if at < 0:
        return at
    if kind == 0:
        return _varint(data, at, _LONGEST_VARINT_BYTES)[1]
    return at + _FIXED_BYTES[kind] if kind in _FIXED_BYTES else -1


def _varint(data: bytes, at: int, longest: int) -> tuple[int, int]:
    """Return a number and where it ends; a negative end where there is none."""
    if 0 <= at < len(data) and data[at] < 0x80:
        return data[at], at + 1
    value = shift = 0
    for at_byte in range(at, min(at + longest, len(data))):
        byte = data[at_byte]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at_byte + 1
        shift += 7
    return 0, -1


def length(value: int) -> bytes:
    """Return a number as a varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, values: Sequence[Part]) -> list[Part]:
    """Return the pieces that write length-delimited values of one field, 1 to 15."""
    tag = bytes((number << 3 | _LENGTH_DELIMITED,))
    pieces: list[Part] = []
    for value in values:
        pieces += (tag + length(len(value)), value)
    return pieces
