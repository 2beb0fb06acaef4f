"""Reads the small files in which the kernel tells numbers: whole, within bounds, without lasting handles.

The kernel makes such a file anew whenever it is opened, and takes one away
whenever its device goes. Opening costs microseconds, so nothing is kept open.
"""

from __future__ import annotations

import os
from typing import Final

MAX_BYTES: Final = 1 << 20
_STEP: Final = 1 << 16


def kernel_text(path: str, max_bytes: int = MAX_BYTES) -> str:
    """Return what a file of ``/proc`` or ``/sys`` says, without white space around it.

    Args:
        path: Its whole path.
        max_bytes: What is longer is cut there.

    Raises:
        OSError: There is no such file, what it tells of is switched off, or we may not read it.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        parts: list[bytes] = []
        left = max_bytes
        while left > 0 and (part := os.read(fd, min(_STEP, left))):
            parts.append(part)
            left -= len(part)
    finally:
        os.close(fd)
    return b"".join(parts).decode("utf-8", "replace").strip("\0 \t\r\n")


def text_or_none(path: str) -> str | None:
    """Return what a file says; None where ``kernel_text`` raises."""
    try:
        return kernel_text(path)
    except OSError:
        return None


def number_or_none(path: str) -> int | None:
    """Return the whole number that a file holds; None if it holds none, or cannot be read."""
    return whole_number(text_or_none(path) or "")


def whole_number(text: str) -> int | None:
    """Return a decimal number of at most 19 digits, with or without a minus; None if it is none."""
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) <= 19 else None


def names_in(folder: str) -> tuple[str, ...]:
    """Return what lies in a folder, ``zone2`` before ``zone10``; nothing if there is no such folder."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 - many times a minute, and no paths are wanted
    except OSError:
        return ()
    return tuple(sorted(names, key=_counted))


def _counted(name: str) -> tuple[str, int, str]:
    stem = name.rstrip("0123456789")
    return stem, int(name[len(stem) :] or 0), name
