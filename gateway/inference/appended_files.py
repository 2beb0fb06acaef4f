"""Small files that lie in a ZIP archive behind a model's own bytes, as TFLite's tools append them. Pure.

Only the directory's first entries are looked at, and no more is unpacked than a
list of labels may have, whatever the archive says of itself.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.inference.octets import Octets

MOST_ENTRIES: Final = 64
_END, _ENTRY, _LOCAL = b"PK\x05\x06", b"PK\x01\x02", b"PK\x03\x04"
_END_BYTES, _ENTRY_BYTES, _LOCAL_BYTES = 22, 46, 30
_MOST_COMMENT: Final = 65_535
_STORED, _DEFLATED = 0, 8
_ENCRYPTED: Final = 1
_MOST_OVERHEAD: Final = 65_536  # packing makes what cannot be packed a little longer


@dataclass(frozen=True, slots=True)
class AppendedFile:
    """One file of the archive.

    Attributes:
        name: Its name, as text.
        start: Where its own header begins in the bytes.
        method: How it is packed.
        packed_bytes: Its length as it lies there.
        crc: Checksum of its content.
    """

    name: str
    start: int
    method: int
    packed_bytes: int
    crc: int


def appended_files(data: Octets) -> tuple[AppendedFile, ...]:
    """Return what lies in the archive at the end of the bytes; empty if there is none that can be read."""
    try:
        return tuple(_entries(data))
    except struct.error:
        return ()


def unpacked(data: Octets, file: AppendedFile, most_bytes: int) -> bytes | None:
    """Return a file's content; None if it is longer than ``most_bytes``, damaged, or packed otherwise."""
    head = data[file.start : file.start + _LOCAL_BYTES]
    if len(head) < _LOCAL_BYTES or head[:4] != _LOCAL:
        return None
    flags = int.from_bytes(head[6:8], "little")
    names, extra = struct.unpack("<HH", head[26:30])
    start = file.start + _LOCAL_BYTES + names + extra
    packed = data[start : start + min(file.packed_bytes, most_bytes + _MOST_OVERHEAD)]
    if flags & _ENCRYPTED or len(packed) < file.packed_bytes:
        return None
    if file.method == _STORED:
        content = packed
    elif file.method == _DEFLATED:
        try:
            content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, most_bytes + 1)
        except zlib.error:
            return None
    else:
        return None
    return content if len(content) <= most_bytes and zlib.crc32(content) == file.crc else None


def _entries(data: Octets) -> Iterator[AppendedFile]:
    size = len(data)
    tail_at = max(0, size - _MOST_COMMENT - _END_BYTES)
    tail = data[tail_at:size]
    at = tail.rfind(_END)
    if at < 0:
        return
    count, directory_bytes, directory_at = struct.unpack_from("<HII", tail, at + 10)
    # Offsets count from where the archive begins, which is behind the model or at its first byte.
    place = tail_at + at - directory_bytes
    base = place - directory_at
    if place < 0 or base < 0:
        return
    for _ in range(min(count, MOST_ENTRIES)):
        head = data[place : place + _ENTRY_BYTES]
        if head[:4] != _ENTRY:
            return
        method, crc, packed = struct.unpack_from("<H4xII", head, 10)
        names, extra, comment = struct.unpack_from("<HHH", head, 28)
        (start,) = struct.unpack_from("<I", head, 42)
        name = data[place + _ENTRY_BYTES : place + _ENTRY_BYTES + names].decode("utf-8", "replace")
        yield AppendedFile(name, base + start, method, packed, crc)
        place += _ENTRY_BYTES + names + extra + comment
