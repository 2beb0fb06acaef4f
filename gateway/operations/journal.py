"""Sends entries to journald, and says of each whether it got there.

What does not get there is the caller's to write elsewhere: nothing is lost in silence. systemd-python's
``sendv`` is no way: while journald is behind it waits with Python's lock held, so that no thread runs, and
where there is no socket it reports success.
"""

from __future__ import annotations

import array
import errno
import fcntl
import os
import socket
import struct
import threading
from typing import Final

from gateway.operations.journal_entry import Entry

SOCKET: Final = "/run/systemd/journal/socket"

# A journald that takes nothing for so long is as good as none.
SEND_LIMIT_S: Final = 1.0

_TOO_LARGE: Final = frozenset({errno.EMSGSIZE, errno.ENOBUFS})
_SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class Journal:
    """The way to journald, for any thread."""

    def __init__(self, path: str = SOCKET, limit_s: float = SEND_LIMIT_S) -> None:
        """Take the way; nothing is opened before the first entry.

        Args:
            path: Where journald listens.
            limit_s: How long one entry may wait for a journald that is behind.
        """
        self._path = path
        self._limit_s = limit_s
        self._lock = threading.Lock()
        self._sock: socket.socket | None = None

    def send(self, entry: Entry) -> bool:
        """Send one entry; False if journald did not take it. Waits within the limit while it is behind."""
        data = entry.datagram()
        try:
            with self._lock:
                sock = self._sock = self._sock or _open(self._limit_s)
            try:
                sock.sendto(data, self._path)
            except OSError as error:
                if error.errno not in _TOO_LARGE:
                    raise
                _send_sealed(sock, data, self._path)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Let go of the socket; the next entry opens another."""
        with self._lock:
            sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()


def _open(limit_s: float) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    # Python's own limit would poll a socket that is always writable: full is the other end.
    sock.setsockopt(
        socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", *divmod(int(limit_s * 1e6), 1_000_000))
    )
    return sock


def _send_sealed(sock: socket.socket, data: bytes, path: str) -> None:
    """Pass a file in memory that nobody can change any more: so journald takes what no datagram holds.

    Raises:
        OSError: It cannot be made or passed.
    """
    fd = os.memfd_create("gateway-journal-entry", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))
        sock.sendmsg([], [rights], 0, path)
    finally:
        os.close(fd)
