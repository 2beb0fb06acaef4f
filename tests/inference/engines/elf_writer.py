"""Writes small 64-bit ELF files with fat binaries in them, true and false ones."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

PTX, CUBIN, OTHER = 1, 2, 8
LINKED, TO_LINK = 0xBA55ED50, 0x466243B1


def entry(kind: int, sm: int, payload: bytes = b"code" * 4, header: int = 64) -> bytes:
    """Return one piece of code."""
    head = struct.pack("<HHIQIIHHI", kind, 0x101, header, len(payload), len(payload), 0, 0, 1, sm)
    return head.ljust(header, b"\0") + payload


def container(*entries: bytes, magic: int = LINKED, size: int | None = None, version: int = 1) -> bytes:
    """Return a fat binary."""
    body = b"".join(entries)
    return struct.pack("<IHHQ", magic, version, 16, len(body) if size is None else size) + body


def library(path: Path, sections: Sequence[tuple[str, bytes]]) -> Path:
    """Write a library with sections of these names and bytes."""
    names = b"\0" + b"".join(name.encode() + b"\0" for name, _ in sections) + b".shstrtab\0"
    body, table = b"", struct.pack("<IIQQQQIIQQ", *([0] * 10))
    for name, data in (*sections, (".shstrtab", names)):
        at = names.index(b"\0" + name.encode() + b"\0") + 1
        table += struct.pack("<IIQQQQIIQQ", at, 1, 0, 0, 64 + len(body), len(data), 0, 0, 8, 0)
        body += data
    count = len(sections) + 2
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    head += struct.pack("<HHIQQQIHHHHHH", 3, 183, 1, 0, 0, 64 + len(body), 0, 64, 0, 0, 64, count, count - 1)
    path.write_bytes(head + body + table)
    return path
