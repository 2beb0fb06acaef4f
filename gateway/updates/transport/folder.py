"""Bytes of a repository from a folder: a mounted disk, or a stick that was put into the inbox.

Whoever filled the folder is not trusted. No symbolic link below it is followed,
only regular files are read, and never more of them than was asked for. Hard
links and owners need no rule: what is read is verified like anything else, and
nothing of it is shown to anybody.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Final

from gateway.errors import FetchFailed, FetchRefused
from gateway.updates.release import CHUNK_BYTES, Blob
from gateway.updates.transport.spans import chunk_bytes

# Lies in an inbox once all of the repository was copied there.
READY_FILE: Final = "READY"

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Opening a named pipe that was planted must not wait for its other end.
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PLANTED: Final = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO, errno.EMLINK})
_CLOSED: Final = frozenset({errno.EACCES, errno.EPERM})


class FolderSource:
    """A repository in a folder.

    Args:
        root: The folder, named by the operator; it may be a symbolic link itself.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.name = str(root)

    @property
    def is_ready(self) -> bool:
        """Whether the ``READY`` file lies there: the copy into an inbox is complete."""
        try:
            os.close(self.open(READY_FILE)[0])
        except (FetchRefused, FetchFailed):
            return False
        return True

    def open(self, path: str) -> tuple[int, int]:
        """Open a regular file; return its descriptor, which is the caller's to close, and its size.

        Args:
            path: Path below the folder; built by us.

        Raises:
            FetchRefused: It is not there (``missing`` is 1), or is no regular file.
            FetchFailed: The folder is not there, or the disk fails.
        """
        *folders, last = path.split("/")
        if not last or {"", ".", ".."} & {*folders, last}:
            raise FetchRefused(f"{self.name}: {path[:200]!a} is no path below it", source=self.name)
        try:
            at = os.open(self._root, _FOLDER)
        except OSError as error:
            raise FetchFailed(f"{self.name}: {error.strerror}", source=self.name) from None
        try:
            for folder in folders:
                inner = os.open(folder, _FOLDER | os.O_NOFOLLOW, dir_fd=at)
                os.close(at)
                at = inner
            file = os.open(last, _FILE, dir_fd=at)
        except OSError as error:
            raise self._told(path, error) from None
        finally:
            os.close(at)
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            os.close(file)
            raise FetchRefused(f"{self.name}/{path}: is no regular file", source=self.name)
        return file, found.st_size

    def read(self, path: str, most_bytes: int, deadline_s: float) -> bytes:
        """Return a small file; see ``Source``.

        Raises:
            FetchRefused: It is not there, is no regular file, or is too long.
            FetchFailed: The folder is not there, or the disk fails.
        """
        self._check_time(path, deadline_s)
        file, size = self.open(path)
        try:
            data = self._bytes(file, path, 0, most_bytes + 1) if size <= most_bytes else b""
        finally:
            os.close(file)
        if max(size, len(data)) > most_bytes:
            raise FetchRefused(f"{self.name}/{path}: is longer than {most_bytes} bytes", source=self.name)
        return data

    def chunks(
        self, blob: Blob, wanted: Sequence[int], deadline_s: float
    ) -> Generator[tuple[int, bytes], None, None]:
        """Yield wanted chunks, unchecked; see ``Source``.

        Raises:
            FetchRefused: It is not there, is no regular file, or has another size.
            FetchFailed: The folder is not there, or the disk fails.
        """
        path = f"blobs/{blob.sha256}"
        file, size = self.open(path)
        try:
            if size != blob.size_bytes:
                what = f"{self.name}/{path}: has {size} bytes where {blob.size_bytes} were signed"
                raise FetchRefused(what, source=self.name)
            for index in wanted:
                self._check_time(path, deadline_s)
                yield index, self._bytes(file, path, index * CHUNK_BYTES, chunk_bytes(blob, index))
        finally:
            os.close(file)

    def close(self) -> None:
        """Do nothing: no descriptor stays open."""

    def _bytes(self, file: int, path: str, offset: int, length: int) -> bytes:
        try:
            data = os.pread(file, length, offset)
            while 0 < len(data) < length and (more := os.pread(file, length - len(data), offset + len(data))):
                data += more
        except OSError as error:
            raise self._told(path, error) from None
        return data

    def _check_time(self, path: str, deadline_s: float) -> None:
        if time.monotonic() >= deadline_s:
            raise FetchFailed(f"{self.name}/{path}: not here by its deadline", source=self.name)

    def _told(self, path: str, error: OSError) -> FetchFailed | FetchRefused:
        where = f"{self.name}/{path}"
        if error.errno == errno.ENOENT:
            return FetchRefused(f"{where}: not there", source=self.name, missing=1)
        if error.errno in _PLANTED:
            return FetchRefused(f"{where}: is a link, or no file where one belongs", source=self.name)
        if error.errno in _CLOSED:
            return FetchRefused(f"{where}: may not be read: {error.strerror}", source=self.name)
        return FetchFailed(f"{where}: {error.strerror}", source=self.name)
