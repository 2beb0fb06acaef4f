"""The tests as journald: they listen at its socket, and read entries as it reads them."""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path

_ALL_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def decoded(data: bytes) -> list[tuple[str, bytes]]:
    """Return names and values of an entry, in order; anything that is not of the form is an error."""
    fields = []
    while data:
        head, found, rest = data.partition(b"\n")
        assert found
        name, has_value, value = head.partition(b"=")
        if not has_value:
            size = int.from_bytes(rest[:8], "little")
            value, data = rest[8 : 8 + size], rest[8 + size :]
            assert len(value) == size
            assert data[:1] == b"\n"
            data = data[1:]
        else:
            data = rest
        fields.append((name.decode("ascii"), value))
    return fields


class Journald:
    """Listens at a socket; every entry is read when it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sealed = 0
        """How many entries came as files."""
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(str(path))
        self._sock.settimeout(20)

    def next(self) -> dict[str, bytes]:
        """Return the next entry.

        Raises:
            TimeoutError: None comes.
        """
        data, fds, flags, _ = socket.recv_fds(self._sock, 1 << 20, 1)
        assert not flags & socket.MSG_TRUNC
        if fds:
            self.sealed += 1
            # journald refuses a file that somebody could still change.
            assert fcntl.fcntl(fds[0], fcntl.F_GET_SEALS) & _ALL_SEALS == _ALL_SEALS
            assert data == b""
            with os.fdopen(fds[0], "rb") as file:
                file.seek(0)
                data = file.read()
        return dict(decoded(data))

    def is_empty(self) -> bool:
        """Say whether no entry waits."""
        self._sock.settimeout(0)
        try:
            self._sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        finally:
            self._sock.settimeout(20)
        return False

    def close(self, *, remove: bool = True) -> None:
        """Go away, with the socket's file or without."""
        self._sock.close()
        if remove:
            self.path.unlink()
