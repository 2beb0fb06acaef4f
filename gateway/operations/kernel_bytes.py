"""Reads one size that the kernel tells in a file of lines such as ``VmHWM:  1234 kB``."""

from __future__ import annotations

from pathlib import Path


def kernel_bytes(path: str, name: str) -> int:
    """Return a size in bytes; 0 if the file does not name it.

    Args:
        path: Such as ``/proc/self/status`` or ``/proc/meminfo``.
        name: What stands before the colon.

    Raises:
        OSError: There is no such file, or what it tells of has gone.
    """
    with Path(path).open(encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return 0
