"""Opens and reads what lies in the store: regular files of its owner, no link followed on the way."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gateway.errors import StoreFailed
from gateway.updates.release import CHUNK_BYTES

# O_NONBLOCK: opening a planted FIFO must not wait for whoever writes to it.
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC


@contextlib.contextmanager
def opened(root: Path, path: Path) -> Iterator[int]:
    """Open a regular file below ``root`` for reading and give its descriptor.

    Args:
        root: The store's folder; it may itself be reached through links.
        path: A path below it; every folder on the way must be a real one.

    Raises:
        FileNotFoundError: It is not there.
        OSError: It cannot be opened.
        StoreFailed: It is a link, or no regular file, or belongs to somebody else.
    """
    fd = _open_below(root, path)
    try:
        yield fd
    finally:
        os.close(fd)


def _open_below(root: Path, path: Path) -> int:
    parts = path.relative_to(root).parts
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        owner = os.fstat(folder).st_uid
        for part in parts[:-1]:
            deeper = os.open(part, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = deeper
        fd = os.open(parts[-1], _FILE, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO):
            raise StoreFailed(f"{path}: it, or a folder on the way, is a link or no file at all") from error
        raise
    finally:
        os.close(folder)
    facts = os.fstat(fd)
    if not stat.S_ISREG(facts.st_mode) or facts.st_uid != owner:
        os.close(fd)
        what = "belongs to somebody else" if stat.S_ISREG(facts.st_mode) else "is no regular file"
        raise StoreFailed(f"{path}: it {what}")
    return fd


def read_small(root: Path, path: Path, most_bytes: int) -> bytes:
    """Return the whole of a small file.

    Raises:
        FileNotFoundError: It is not there.
        OSError: It cannot be read.
        StoreFailed: It is no file of the store, or longer than ``most_bytes``.
    """
    with opened(root, path) as fd:
        data = bytearray()
        while len(data) <= most_bytes and (more := os.read(fd, most_bytes + 1 - len(data))):
            data += more
    if len(data) > most_bytes:
        raise StoreFailed(f"{path}: it is longer than {most_bytes} bytes")
    return bytes(data)


def pieces(fd: int, size_bytes: int) -> Iterator[memoryview]:
    """Yield a file's bytes chunk by chunk, through one buffer that the next step overwrites.

    Raises:
        OSError: It cannot be read.
        StoreFailed: It has not exactly ``size_bytes``.
    """
    held = os.fstat(fd).st_size
    if held != size_bytes:
        raise StoreFailed(f"it has {held} bytes instead of {size_bytes}")
    buffer = memoryview(bytearray(min(CHUNK_BYTES, size_bytes)))
    place = 0
    while place < size_bytes:
        piece = buffer[: min(CHUNK_BYTES, size_bytes - place)]
        got = 0
        while got < len(piece):
            step = os.preadv(fd, [piece[got:]], place + got)
            if not step:
                raise StoreFailed(f"it ends after {place + got} of {size_bytes} bytes")
            got += step
        yield piece
        place += got


def sha256_of(fd: int, size_bytes: int) -> str:
    """Return the SHA-256 in hex of a file that must have ``size_bytes``.

    Raises:
        OSError: It cannot be read.
        StoreFailed: Its size is another.
    """
    digest = hashlib.sha256()
    for piece in pieces(fd, size_bytes):
        digest.update(piece)
    return digest.hexdigest()


def is_sound(facts: os.stat_result, owner: int, size_bytes: int) -> bool:
    """Say whether an ``lstat`` is of a file that the store sealed: regular, its owner's, read-only."""
    return (
        stat.S_ISREG(facts.st_mode)
        and facts.st_uid == owner
        and not facts.st_mode & 0o222
        and facts.st_size == size_bytes
    )
