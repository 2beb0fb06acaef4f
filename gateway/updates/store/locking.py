"""The lock that makes one process, and the child it hands it to, the writers of a store."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from pathlib import Path
from typing import Final

from gateway.errors import StoreBusy, StoreFailed
from gateway.updates.store.trouble import told

_MOST_TRIES: Final = 3


def take(path: Path) -> int:
    """Lock the file at ``path``, making it if need be, and write this process's number into it.

    Returns:
        Its descriptor, the caller's to close. The lock lasts until every copy of it is closed; it is not
        inherited unless it is passed on by name (``pass_fds``).

    Raises:
        StoreBusy: Another process has the lock (``pid``, if it is known).
        StoreFailed: The file cannot be opened, or is none.
    """
    for _ in range(_MOST_TRIES):
        with told(f"{path}"):
            fd = _open(path)
        try:
            with told(f"{path}"):
                _lock(fd, path)
                # Whoever exchanged the file meanwhile would lock another one than we did.
                is_ours = _is_at(fd, path)
            if is_ours:
                with contextlib.suppress(OSError):  # the number is a service to people, not the lock
                    os.ftruncate(fd, 0)
                    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
    raise StoreFailed(f"{path}: somebody keeps exchanging the lock file")


def _open(path: Path) -> int:
    """Open the lock file; for reading alone if the disk cannot be written: what lies there still serves."""
    flags = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(path, flags | os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        return os.open(path, flags | os.O_RDONLY)


def share(path: Path) -> int | None:
    """Lock an existing lock file for looking only, so that nobody writes meanwhile.

    Returns:
        Its descriptor, the caller's to close; None if there is no file, so that nobody can hold it.

    Raises:
        StoreBusy: A process has the lock (``pid``, if it is known).
        StoreFailed: The file cannot be opened, or is none.
    """
    with told(f"{path}"):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
    try:
        with told(f"{path}"):
            _lock(fd, path, fcntl.LOCK_SH)
    except BaseException:
        os.close(fd)
        raise
    return fd


def adopt(fd: int, path: Path) -> None:
    """Check that an inherited descriptor is the lock of ``path`` and holds it.

    Raises:
        StoreBusy: Another process has the lock.
        StoreFailed: It is another file.
    """
    with told(f"{path}"):
        if not _is_at(fd, path):
            raise StoreFailed(f"{path}: the descriptor that was handed over is not this lock")
        _lock(fd, path)
        os.set_inheritable(fd, False)


def _lock(fd: int, path: Path, kind: int = fcntl.LOCK_EX) -> None:
    facts = os.fstat(fd)
    if not stat.S_ISREG(facts.st_mode) or facts.st_nlink > 1:
        raise StoreFailed(f"{path}: it is no file of the store's making; move it away")
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError as error:
        said = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
        who = f"process {said}" if said.isdecimal() else "another process"
        raise StoreBusy(
            f"the model store {path.parent} is held by {who}", pid=int(said) if said.isdecimal() else None
        ) from error


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.lstat())
    except FileNotFoundError:
        return False
