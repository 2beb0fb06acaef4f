"""Tell glibc to keep large buffers instead of giving them back after each message."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3


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
