"""A model file held in memory: the bytes that are hashed are the bytes that are mapped, and they stay.

The file is opened once. Its pages are brought in and locked before any runtime
opens it, so no request waits for the disk; the digest is taken over those very
pages; and the runtime gets the same open file by its descriptor, so whoever
renames another file into its place meanwhile changes nothing. Who writes into the
file in place, or cuts it, ends the process that maps it: stores never do.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import mmap
import os
import resource
import stat
import weakref
from pathlib import Path

from gateway.errors import LoadFailed

# The same number on x86 and arm; Python has no name for it before 3.14.
_MAP_LOCKED = 0x2000
_NO_LOCK = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EPERM})
_KEPT = mmap.MAP_SHARED | mmap.MAP_POPULATE


class MappedFile:
    """One open, mapped and hashed file. Closed by whoever opened it, or with the last reference.

    Attributes:
        path: Where it was found.
        size_bytes: Its length when it was opened.
        sha256: Digest of the mapped bytes, in hex.
        pinned: Whether its pages are locked in memory.
        note: Why they are not; empty if they are.
    """

    def __init__(self, path: Path, fd: int, size_bytes: int) -> None:
        """Map an open file; ``open`` is the way to make one.

        Raises:
            OSError: It cannot be mapped.
        """
        self.path = path
        self.size_bytes = size_bytes
        self._fd = fd
        self._map, self.note = _map(fd, size_bytes)
        self.pinned = not self.note
        with memoryview(self._map) as view:
            self.sha256 = hashlib.sha256(view).hexdigest()
        self._closed = weakref.finalize(self, os.close, fd)

    @classmethod
    def open(cls, path: Path) -> MappedFile:
        """Open a regular file, bring its pages in, lock them if the limit allows it, and hash them.

        Raises:
            LoadFailed: It is a link, no regular file, empty, or cannot be read or mapped.
        """
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            why = "is a symbolic link" if error.errno == errno.ELOOP else error.strerror or error
            raise LoadFailed(f"{path}: {why}") from error
        try:
            facts = os.fstat(fd)
            if not stat.S_ISREG(facts.st_mode):
                raise LoadFailed(f"{path}: is not a regular file")
            if facts.st_size == 0:
                raise LoadFailed(f"{path}: is empty")
            return cls(path, fd, facts.st_size)
        except OSError as error:
            os.close(fd)
            raise LoadFailed(f"{path}: cannot be mapped: {error.strerror or error}") from error
        except BaseException:
            os.close(fd)
            raise

    @property
    def engine_path(self) -> Path:
        """The open file under a name that a runtime can open, whatever ``path`` has become."""
        return Path(f"/proc/self/fd/{self._fd}")

    def lock_again(self) -> None:
        """Map anew in a process that was forked: it has the mapping, and none of its locks."""
        if self._closed.alive and self.pinned:
            old = self._map
            self._map, self.note = _map(self._fd, self.size_bytes)
            self.pinned = not self.note
            old.close()

    def start(self, count: int) -> bytes:
        """Return the first ``count`` bytes; fewer if there are no more."""
        return self._map[:count]

    def release(self, why: str) -> None:
        """Let the pages go, and keep the digest: for a runtime that has copied the file. Idempotent."""
        if self._closed.alive:
            self.close()
            self.pinned, self.note = False, why

    def close(self) -> None:
        """Unmap and close. Idempotent; a runtime's own mapping lives on."""
        self._map.close()
        self._closed()


def _map(fd: int, size_bytes: int) -> tuple[mmap.mmap, str]:
    """Map with every page brought in; return why they are not locked, or nothing."""
    try:
        return mmap.mmap(fd, size_bytes, flags=_KEPT | _MAP_LOCKED, prot=mmap.PROT_READ), ""
    except OSError as error:
        if error.errno not in _NO_LOCK:
            raise
    most = "unknown"
    with contextlib.suppress(OSError):
        most = f"{resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]} bytes"
    note = f"not locked: the file has {size_bytes} bytes, RLIMIT_MEMLOCK is {most}"
    return mmap.mmap(fd, size_bytes, flags=_KEPT, prot=mmap.PROT_READ), note
