"""Tell glibc to keep large buffers instead of giving them back after each message.

And have it give them back where many lie free for long.
"""

from __future__ import annotations

import ctypes
import threading
from typing import Any, Final

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_LOOK_EVERY_S: Final = 15.0


def keep_large_buffers(largest_bytes: int = 33_554_432, spare_bytes: int = 16_777_216) -> bool:
    """Let buffers up to ``largest_bytes`` come from the heap, and keep ``spare_bytes`` of it when free.

    By default glibc maps each buffer above 128 KiB anew and unmaps it when it
    is freed: the kernel clears the same pages again for every frame.

    Returns:
        Whether the C library took it; False on musl and others, where nothing changes.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    mallopt.argtypes = (ctypes.c_int, ctypes.c_int)
    mallopt.restype = ctypes.c_int
    return all(
        mallopt(parameter, value) == 1
        for parameter, value in (
            (_MMAP_THRESHOLD, largest_bytes),
            (_TRIM_THRESHOLD, spare_bytes * 2),
            (_TOP_PAD, spare_bytes),
        )
    )


class _Use(ctypes.Structure):
    """What ``mallinfo2`` tells: ten sizes, of which one is looked at."""

    _fields_ = (
        ("before", ctypes.c_size_t * 8),
        ("free_bytes", ctypes.c_size_t),
        ("top_bytes", ctypes.c_size_t),
    )


class SpareMemory:
    """Gives back what the C library keeps from one look to the next: after a storm that may be most of it.

    glibc gives back the end of its heap alone, and one small object there keeps all that was free before
    it. Giving back 1 GB takes 70 ms, in which other threads wait for memory: so it is done for much only.
    """

    def __init__(self, keep_bytes: int = 134_217_728) -> None:
        """Prepare.

        Args:
            keep_bytes: So much may lie free.
        """
        self._keep_bytes = keep_bytes
        self._libc = _glibc()
        self._due_s = 0.0
        self._before_bytes = 0
        self._given_bytes = 0

    def sampled(self, now_s: float) -> None:
        """Look every few seconds, in a thread. Never waits."""
        if now_s >= self._due_s and self._libc is not None:
            self._due_s = now_s + _LOOK_EVERY_S
            threading.Thread(target=self.look, name="spare-memory", daemon=True).start()

    def look(self) -> bool:
        """Give back what was free at the last look too, if it is much; return whether it was."""
        libc = self._libc
        if libc is None:
            return False
        free = libc.mallinfo2().free_bytes
        # What was given back still counts as free there.
        self._given_bytes = min(self._given_bytes, free)
        lain, self._before_bytes = min(self._before_bytes, free) - self._given_bytes, free
        if lain <= self._keep_bytes:
            return False
        libc.malloc_trim(0)
        self._given_bytes = self._before_bytes = libc.mallinfo2().free_bytes
        return True


def _glibc() -> Any:
    """Return the C library with its two calls declared; None where it has none such."""
    try:
        libc = ctypes.CDLL(None)
        libc.mallinfo2.restype = _Use
        libc.malloc_trim.argtypes = (ctypes.c_size_t,)
    except (AttributeError, OSError):
        return None
    return libc
