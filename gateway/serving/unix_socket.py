"""Listens at a path of the file system, and asks there: for programs of this machine alone."""

from __future__ import annotations

import contextlib
import errno
import http.client
import os
import socket
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_MODE: Final = 0o660
_BACKLOG: Final = 100
_CREDENTIALS: Final = struct.Struct("3i")  # process, user, group


@dataclass(frozen=True, slots=True)
class BoundPath:
    """A listening socket and the file that stands for it.

    Attributes:
        sock: The socket; whoever serves it owns it.
        path: Its file.
        identity: Device and inode of the file.
    """

    sock: socket.socket
    path: str
    identity: tuple[int, int]

    def remove(self) -> None:
        """Take the file away, unless another's stands there by now."""
        with contextlib.suppress(OSError):
            found = os.lstat(self.path)
            if (found.st_dev, found.st_ino) == self.identity:
                Path(self.path).unlink()


def bind_path(path: str, kind: socket.SocketKind = socket.SOCK_STREAM) -> BoundPath:
    """Listen at a path, for its owner and group; a file that a dead process left there is replaced.

    Args:
        path: Where.
        kind: Bytes or packets.

    Raises:
        OSError: Somebody listens there, something else is there, or it cannot be made.
    """
    clear_path(path)
    sock = socket.socket(socket.AF_UNIX, kind)
    try:
        # Before bind, so that it is never open to more; after it, because the umask may have made it less.
        os.fchmod(sock.fileno(), _MODE)
        sock.bind(path)
        Path(path).chmod(_MODE)
        made = os.lstat(path)
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"cannot listen at {path}: {error.strerror}") from None
    return BoundPath(sock, path, (made.st_dev, made.st_ino))


def clear_path(path: str) -> None:
    """Take away the file that a dead process left at a path.

    Raises:
        OSError: Somebody listens there, or something else is there.
    """
    try:
        found = os.lstat(path)
    except OSError:
        return  # nothing there, or bind says what is wrong
    if not stat.S_ISSOCK(found.st_mode):
        raise OSError(errno.EEXIST, f"cannot listen at {path}: something that is no socket is there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.setblocking(False)
        # Anything but a refusal is an answer: a full queue is somebody's.
        code = asking.connect_ex(path)
    if code == errno.ECONNREFUSED:
        with contextlib.suppress(FileNotFoundError):
            Path(path).unlink()
    elif code != errno.ENOENT:
        raise OSError(errno.EADDRINUSE, f"cannot listen at {path}: somebody listens there already")


def user_of(sock: socket.socket) -> int:
    """Return the user of the process at the other end, as it was when it connected.

    Raises:
        OSError: The kernel does not say.
    """
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(data)
    return int(uid)


class PathConnection(http.client.HTTPConnection):
    """A connection to who listens at a path."""

    def __init__(self, path: str, timeout_s: float) -> None:
        """Prepare; the first request connects."""
        super().__init__("localhost", timeout=timeout_s)
        self._path = path
        self._timeout_s = timeout_s

    def connect(self) -> None:
        """Connect.

        Raises:
            OSError: Nobody listens there.
        """
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._timeout_s)
        self.sock.connect(self._path)
