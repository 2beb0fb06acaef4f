"""Shared memory in which payloads travel to a worker: two pages a lane, one a batch in flight.

A lane has at most two batches in flight, so batch number n uses page n mod 2
and no allocator is needed. A page grows to the largest batch it ever held and
is then reused, so memory is flat. The front end writes; the worker gets a
read-only descriptor, and could not write if it tried.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence

_ALIGN = 64  # a cache line, and enough for any element type
_SMALLEST = 64 * 1024


class Page:
    """The front end's side: an anonymous file, mapped writable. Close it when its lane has gone."""

    def __init__(self, name: str) -> None:
        self._fd = os.memfd_create(name, os.MFD_CLOEXEC)
        self._map: mmap.mmap | None = None
        self.size_bytes = 0

    def open_for_reading(self) -> int:
        """Return a new read-only descriptor on the same memory; the caller closes it."""
        return os.open(f"/proc/self/fd/{self._fd}", os.O_RDONLY | os.O_CLOEXEC)

    def write(self, payloads: Sequence[bytes | memoryview]) -> list[int]:
        """Copy payloads in, one after the other; return their offsets.

        Raises:
            OSError: The system has no memory left for the page.
        """
        needed = sum(len(payload) + _ALIGN for payload in payloads)
        if needed > self.size_bytes:
            self._grow(needed)
        target = self._map
        assert target is not None
        offsets: list[int] = []
        offset = 0
        for payload in payloads:
            target[offset : offset + len(payload)] = payload
            offsets.append(offset)
            offset += -(-len(payload) // _ALIGN) * _ALIGN
        return offsets

    def close(self) -> None:
        """Unmap and free the memory, once the worker has closed its side."""
        if self._map is not None:
            self._map.close()
            self._map = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _grow(self, needed: int) -> None:
        size = max(_SMALLEST, 1 << (needed - 1).bit_length())
        os.posix_fallocate(self._fd, 0, size)  # an error now, where a sparse file would be a SIGBUS later
        grown = mmap.mmap(self._fd, size)
        if self._map is not None:
            self._map.close()
        self._map, self.size_bytes = grown, size


class ReadOnlyPage:
    """The worker's side. Views on it are valid until the batch is answered."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._view = memoryview(b"")

    def view(self, size_bytes: int) -> memoryview:
        """Return the page as the front end has it now, ``size_bytes`` long."""
        if size_bytes > len(self._view):
            self._view = memoryview(mmap.mmap(self._fd, size_bytes, prot=mmap.PROT_READ))
        return self._view

    def close(self) -> None:
        """Unmap and close, where a process goes on without the page."""
        self._view = memoryview(b"")
        os.close(self._fd)
