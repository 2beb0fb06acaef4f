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


def split(data: bytes, number: int) -> tuple[bytes, list[memoryview]] | None:
    """Part a message from the length-delimited values of one of its fields.

    Args:
        data: The message.
        number: The field, 1 to 15.

    Returns:
        The message without that field, and the values in their order; None where the message is
        broken, or written in a way that only a full parser should judge.
    """
    wanted = number << 3 | _LENGTH_DELIMITED
    view = memoryview(data)
    kept: list[memoryview] = []
    values: list[memoryview] = []
    kept_from = at = 0
    end = len(data)
    while at < end:
        start = at
        tag, at = _varint(data, at, _LONGEST_TAG_BYTES)
        if tag == wanted:
            size, at = _varint(data, at, _LONGEST_VARINT_BYTES)
            if at < 0 or size > end - at:
                return None
            kept.append(view[kept_from:start])
            values.append(view[at : at + size])
            kept_from = at = at + size
        else:
            at = _after(data, at, tag & 7)
            if at < 0 or at > end:
                return None
    if not values:
        return data, values
    kept.append(view[kept_from:])
    return b"".join(kept), values


def _after(data: bytes, at: int, kind: int) -> int:
    """Return where a value ends; beyond the data or negative where it does not."""
    if at < 0:
        return at
    if kind == _LENGTH_DELIMITED:
        size, at = _varint(data, at, _LONGEST_VARINT_BYTES)
        return at + size if at >= 0 else at
    if kind == 0:
        return _varint(data, at, _LONGEST_VARINT_BYTES)[1]
    return at + _FIXED_BYTES[kind] if kind in _FIXED_BYTES else -1


def _varint(data: bytes, at: int, longest: int) -> tuple[int, int]:
    """Return a number and where it ends; a negative end where there is none."""
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
