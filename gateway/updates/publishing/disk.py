"""Writes the files of an author's repository whole or not at all, and copies blobs while it checks them."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from gateway.errors import PublishRefused, StoreBusy
from gateway.updates.release import CHUNK_BYTES, Blob

Progress = Callable[[int], None]
_TEMPORARY: Final = ".tmp-"
_PUBLIC: Final = 0o644
# Sticks carry file systems that cannot sync folders or change modes.
_UNABLE: Final = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EPERM, errno.ENOSYS})


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a repository against everybody else who changes it.

    Raises:
        OSError: There is no such folder.
        StoreBusy: Somebody else is changing it.
    """
    fd = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreBusy(f"{folder}: somebody else is changing this repository; try again") from error
        yield
    finally:
        os.close(fd)


def write(path: Path, data: bytes, mode: int = _PUBLIC) -> None:
    """Put a file in place, whole and durable; folders on the way are made.

    Raises:
        OSError: It did not work; what was there before still is.
    """
    make_folders(path.parent)
    new = path.with_name(_TEMPORARY + path.name)
    with _fresh(new, mode) as fd:
        _write_all(fd, data)
    _finish(new, path)


def take(source: Path, blob: Blob, folder: Path, progress: Progress) -> bool:
    """Copy a blob into the folder of blobs, checking every chunk on the way; return False if it was there.

    Args:
        source: A regular file with its bytes.
        blob: What they must be.
        folder: ``blobs/``.
        progress: Told of the bytes of every chunk, also of those that were there.

    Raises:
        OSError: It cannot be read or written; nothing is left.
        PublishRefused: The bytes are others, or the source is a link or no file.
    """
    path = folder / blob.sha256
    if path.is_file() and path.stat().st_size == blob.size_bytes and _digest(path) == blob.sha256:
        progress(blob.size_bytes)
        return False
    make_folders(folder)
    new = folder / f"{_TEMPORARY}{blob.sha256}"
    with _opened(source) as reader, _fresh(new, _PUBLIC) as fd:
        whole = hashlib.sha256()
        for index, digest in enumerate(blob.chunks):
            chunk = reader.read(CHUNK_BYTES)
            if hashlib.sha256(chunk).hexdigest() != digest:
                raise PublishRefused(f"{source}: chunk {index} is not what the manifest says; pack it again")
            whole.update(chunk)
            _write_all(fd, chunk)
            progress(len(chunk))
        if reader.read(1) or whole.hexdigest() != blob.sha256:
            raise PublishRefused(f"{source}: it is not what the manifest says; pack it again")
    _finish(new, path)
    return True


def copy(source: Path, path: Path, progress: Progress) -> None:
    """Copy one file to another place, whole and durable.

    Raises:
        OSError: It did not work; what was there before still is.
        PublishRefused: The source is a link or no file.
    """
    make_folders(path.parent)
    new = path.with_name(_TEMPORARY + path.name)
    with _opened(source) as reader, _fresh(new, _PUBLIC) as fd:
        while chunk := reader.read(CHUNK_BYTES):
            _write_all(fd, chunk)
            progress(len(chunk))
    _finish(new, path)


def make_folders(folder: Path) -> None:
    """Make a folder and those above it, durably; what is there stays as it is.

    Raises:
        OSError: It cannot be made.
    """
    if not folder.is_dir():
        make_folders(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


def remove(path: Path) -> None:
    """Remove a file, durably; one that is not there is removed already.

    Raises:
        OSError: It cannot be removed.
    """
    path.unlink(missing_ok=True)
    if path.parent.is_dir():
        _sync(path.parent)


@contextlib.contextmanager
def _fresh(new: Path, mode: int) -> Iterator[int]:
    """Give the descriptor of a new file, and sync it at the end; if that does not come, remove it."""
    new.unlink(missing_ok=True)
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        yield fd
        os.fsync(fd)
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink()
        raise
    finally:
        os.close(fd)


def _finish(new: Path, path: Path) -> None:
    new.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _UNABLE:
            raise
    finally:
        os.close(fd)


def _write_all(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


@contextlib.contextmanager
def _opened(source: Path) -> Iterator[BinaryIO]:
    try:
        fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise PublishRefused(f"{source}: it is a link; a release holds files") from error
        raise
    with os.fdopen(fd, "rb") as reader:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise PublishRefused(f"{source}: it is no file")
        yield reader


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with _opened(path) as reader:
        while chunk := reader.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
