"""Memory that a client handed over as a descriptor: taken only if it cannot shrink, then mapped."""

from __future__ import annotations

import fcntl
import mmap
import os
import resource
from typing import Final

from gateway.errors import Malformed, TooLarge, UnknownRegion
from gateway.serving.call import Buffer
from gateway.serving.shared_memory.names import check_part

NEEDED_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
_PAGE_BYTES: Final = resource.getpagesize()
_F_SEAL_FUTURE_WRITE: Final = 0x0010  # not named by the standard library
_BLOCK_BYTES: Final = 512  # of st_blocks, whatever the file system


def is_memory(fd: int) -> bool:
    """Return whether a descriptor is memory of ``memfd_create``, and no file, socket or device.

    The kernel answers this itself; to ask more of a file is to ask whoever serves its file system, and wait.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_GET_SEALS)
    except OSError:
        return False
    return True


def check_sealed(fd: int, region: str, max_bytes: int) -> int:
    """Return the size of the memory behind a descriptor.

    Raises:
        Malformed: It may shrink or grow, is not all there, or is of pages of another size.
        TooLarge: It is larger than allowed.
    """
    if fcntl.fcntl(fd, fcntl.F_GET_SEALS) & NEEDED_SEALS != NEEDED_SEALS:
        raise Malformed(f"region {region!r}: seal the memory with F_SEAL_SHRINK and F_SEAL_GROW first")
    found = os.fstat(fd)
    if found.st_size < 1:
        raise Malformed(f"region {region!r} is empty")
    if found.st_size > max_bytes:
        raise TooLarge(
            f"region {region!r} has {found.st_size} bytes; serving.shared_memory.max_region_bytes allows "
            f"{max_bytes}"
        )
    # A huge page that the pool no longer has, and a hole on a full system, end who touches them (SIGBUS).
    if os.fstatvfs(fd).f_bsize != _PAGE_BYTES:
        raise Malformed(f"region {region!r} is of huge pages, which are not taken")
    if found.st_blocks * _BLOCK_BYTES < found.st_size:
        raise Malformed(
            f"region {region!r} has holes: allocate it first, with posix_fallocate or by filling it"
        )
    return found.st_size


class SealedMemory:
    """A mapped region; unmapped when the last view on it is gone.

    Attributes:
        name: What the client calls it.
        byte_size: How long it is.
        writable: Whether outputs can go there.
    """

    def __init__(self, fd: int, name: str, max_bytes: int) -> None:
        """Map the memory behind ``fd``; the descriptor stays the caller's.

        Raises:
            Malformed: It cannot be mapped, may shrink or grow, or is not all there.
            TooLarge: It is larger than allowed.
        """
        self.name = name
        self.byte_size = check_sealed(fd, name, max_bytes)
        try:
            mapped, self.writable = _mapped(fd, self.byte_size)
        except (OSError, ValueError) as error:
            raise Malformed(f"region {name!r} cannot be mapped: {error}") from None
        self._view = memoryview(mapped)

    def part(self, offset: int, byte_size: int) -> memoryview:
        """Return a part as it is now and will be: the client may write to it at any time.

        Raises:
            Malformed: The part does not lie in the region.
        """
        check_part(self.name, self.byte_size, offset, byte_size)
        return self._view[offset : offset + byte_size]

    def check_place(self, offset: int, byte_size: int) -> None:
        """Check that a part takes outputs.

        Raises:
            Malformed: It does not lie in the region.
            UnknownRegion: The region is sealed against writing.
        """
        check_part(self.name, self.byte_size, offset, byte_size)
        if not self.writable:
            raise UnknownRegion(f"region {self.name!r} takes no output: it is read-only")

    def write(self, offset: int, data: Buffer) -> None:
        """Copy data to a place that was checked."""
        source = memoryview(data).cast("B")
        self._view[offset : offset + len(source)] = source


def _mapped(fd: int, size: int) -> tuple[mmap.mmap, bool]:
    seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
    if seals & fcntl.F_SEAL_WRITE:
        # Before Linux 6.7 such memory cannot be mapped as shared at all; since it never changes, a private
        # mapping shows the same.
        return mmap.mmap(fd, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ), False
    if seals & _F_SEAL_FUTURE_WRITE or fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDWR:
        return mmap.mmap(fd, size, prot=mmap.PROT_READ), False
    return mmap.mmap(fd, size), True
