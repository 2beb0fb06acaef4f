"""One object of shared memory that a client may shrink at any moment: read and written without being mapped.

A page of a mapping that its file no longer has ends the process that touches it
(SIGBUS). A read from the descriptor comes back short instead, costs 20 µs more
for 600 KB than a copy out of a mapping, and gives bytes that the client
cannot change while they are looked at.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import Final

from gateway.errors import UnknownRegion
from gateway.serving.call import Buffer

_REGULAR: Final = "it is no regular object"


class ObjectFile:
    """An open object; its descriptor is closed when the last who holds this lets go."""

    def __init__(self, folder: str, file: str) -> None:
        """Open an object, without following a link and without waiting.

        Args:
            folder: Where the system keeps such objects.
            file: The object's name in it, a single name.

        Raises:
            OSError: It is not there, is no object of memory, or the gateway may not read it.
        """
        self._fd = -1
        self._file = file
        # A path alone has no effects, whatever it leads to; only what was looked at is then opened.
        found = os.open(f"{folder}/{file}", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(found).st_mode):
                raise OSError(_REGULAR)
            self._fd, self.writable = _reopen(found)
        finally:
            os.close(found)

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Let the object go. Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def size_bytes(self) -> int:
        """Return how long it is now."""
        return os.fstat(self._fd).st_size

    def read(self, offset: int, byte_size: int) -> bytes:
        """Return a copy of a part.

        Raises:
            UnknownRegion: The object is shorter by now, or the system cannot read it.
        """
        try:
            data = os.pread(self._fd, byte_size, offset)
            # One call gives 2 GiB at most.
            while len(data) < byte_size:
                more = os.pread(self._fd, byte_size - len(data), offset + len(data))
                if not more:
                    raise self._shrunk(offset + byte_size)
                data += more
        except OSError as error:
            raise self._failed("read", error) from None
        return data

    def write(self, offset: int, data: Buffer) -> None:
        """Copy bytes in.

        Raises:
            UnknownRegion: The object is shorter by now, is read-only, or has no room.
        """
        rest = memoryview(data).cast("B")
        try:
            if self.size_bytes() < offset + len(rest):
                raise self._shrunk(offset + len(rest))
            while rest:
                done = os.pwrite(self._fd, rest, offset)
                offset, rest = offset + done, rest[done:]
        except OSError as error:
            raise self._failed("write", error) from None

    def _shrunk(self, end: int) -> UnknownRegion:
        return UnknownRegion(
            f"Invalid offset + byte size for shared memory region: its object '/{self._file}' was shrunk "
            f"after it was registered and does not reach {end} bytes any more"
        )

    def _failed(self, what: str, error: OSError) -> UnknownRegion:
        return UnknownRegion(f"cannot {what} shared memory object '/{self._file}': {error.strerror}")


def _reopen(found: int) -> tuple[int, bool]:
    path = f"/proc/self/fd/{found}"
    with contextlib.suppress(PermissionError):
        return os.open(path, os.O_RDWR | os.O_CLOEXEC), True
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC), False
