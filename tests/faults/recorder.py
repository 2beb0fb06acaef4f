"""A disk that remembers: a FUSE file whose every write and flush is logged in order, with marks between.

``python -m tests.faults.recorder MOUNT IMAGE LOG`` serves ``MOUNT/disk`` (the
image), ``MOUNT/mark`` (what is written there goes into the log as it is) and
``MOUNT/order``: the number of the next write that is to fail with EIO, once; or
``=`` and bytes in hex, with which the write begins that is to fail.
"""

from __future__ import annotations

import ctypes.util
import errno
import os
import stat
import struct
import sys
from collections.abc import Callable
from typing import Any, Final

WRITE: Final = b"W"
FLUSH: Final = b"F"
MARK: Final = b"M"
FAILED: Final = b"E"
HEADER: Final = struct.Struct("<cQI")
_SECTOR: Final = 4096


class Orders:
    """Which writes are to fail."""

    def __init__(self) -> None:
        self._left = 0
        self._needle = b""

    def take(self, words: bytes) -> None:
        """Take an order."""
        if words.startswith(b"="):
            self._needle = bytes.fromhex(words[1:].decode())
        else:
            self._left = int(words)

    def fails(self, data: bytes) -> bool:
        """Say whether a write is to fail."""
        if self._needle and self._needle in (data[at : at + len(self._needle)] for at in _sectors(data)):
            self._needle = b""
            return True
        if self._left:
            self._left -= 1
            return not self._left
        return False


def _sectors(data: bytes) -> range:
    return range(0, len(data), _SECTOR)


class Recorder:
    """What the file system does when it is asked; mixed with the library's class where it runs."""

    use_ns = True

    def __init__(self, backing: int, log: Callable[[bytes], object]) -> None:
        """Serve.

        Args:
            backing: Descriptor of the image.
            log: Takes what is to be remembered.
        """
        self._backing = backing
        self._log = log
        self._orders = Orders()
        self._sizes = {"/disk": os.fstat(backing).st_size, "/mark": 0, "/order": 0}

    def init_with_config(self, _: object, config: Any) -> None:
        if config is not None:
            config.direct_io = 1  # no page cache between: the order is the file system's

    def getattr(self, path: str, fh: object = None) -> dict[str, int]:
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
        if path not in self._sizes:
            raise FileNotFoundError(errno.ENOENT, path)
        return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": self._sizes[path]}

    def readdir(self, path: str, fh: object) -> list[str]:
        return [".", "..", *(name[1:] for name in self._sizes)]

    def open(self, path: str, flags: int) -> int:
        return 0

    def read(self, path: str, size: int, offset: int, fh: object) -> bytes:
        return os.pread(self._backing, size, offset) if path == "/disk" else b""

    def write(self, path: str, data: bytes, offset: int, fh: object) -> int:
        data = bytes(data)
        if path == "/order":
            self._orders.take(data)
        elif path == "/mark":
            self._remember(MARK, 0, data)
        elif self._orders.fails(data):
            self._remember(FAILED, offset, data)
            raise OSError(errno.EIO, "as ordered")
        else:
            os.pwrite(self._backing, data, offset)
            self._remember(WRITE, offset, data)
        return len(data)

    def fsync(self, path: str, datasync: object, fh: object) -> int:
        self._remember(FLUSH, 0, b"")
        return 0

    def truncate(self, path: str, length: int, fh: object = None) -> int:
        return 0

    def _remember(self, kind: bytes, place: int, data: bytes) -> None:
        self._log(HEADER.pack(kind, place, len(data)) + data)


def main(mount: str, image: str, log: str) -> None:
    """Serve until it is unmounted."""
    library = ctypes.util.find_library("fuse3")
    if library:
        os.environ.setdefault("FUSE_LIBRARY_PATH", library)
    from mfusepy import FUSE, Operations

    backing = os.open(image, os.O_RDWR | os.O_CLOEXEC)
    with open(log, "wb", buffering=0) as file:  # noqa: PTH123 - unbuffered
        served = type("Served", (Recorder, Operations), {})(backing, file.write)
        FUSE(served, mount, foreground=True, nothreads=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
