"""The tests as a service manager: they hear what the daemon says, and hand it sockets as systemd does."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.system.running import LIMIT_S

# Becomes the gateway in the same process, as systemd's exec does: $LISTEN_PID must be its own.
_EXEC = """
import os, sys
fds, names, args = sys.argv[1].split(","), sys.argv[2], sys.argv[3:]
fds = [int(fd) for fd in fds if fd]
for index, fd in enumerate(fds):
    os.dup2(fd, 100 + index)
    os.close(fd)
for index in range(len(fds)):
    os.dup2(100 + index, 3 + index)
    os.close(100 + index)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=names)
os.execv(sys.executable, [sys.executable, *args])
"""


class Systemd:
    """Hears notifications on a socket of its own."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "notify")
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(self.path)
        self.heard: list[dict[str, str]] = []

    def close(self) -> None:
        """Stop hearing."""
        self._sock.close()

    def next(self, limit_s: float = LIMIT_S) -> dict[str, str] | None:
        """Return the next notification; None if none comes in time."""
        self._sock.settimeout(limit_s)
        try:
            text = self._sock.recv(65_536).decode()
        except TimeoutError:
            return None
        said = dict(line.split("=", 1) for line in text.split("\n"))
        self.heard.append(said)
        return said

    def until(self, fits: Callable[[dict[str, str]], bool]) -> dict[str, str]:
        """Return the next notification that fits."""
        end_s = time.monotonic() + LIMIT_S
        while time.monotonic() < end_s and (said := self.next()) is not None:
            if fits(said):
                return said
        raise AssertionError(f"not said; heard {self.heard}")

    def silent_from_now_on(self, quiet_s: float) -> bool:
        """Wait until nothing that feeds has been heard for so long."""
        end_s = time.monotonic() + LIMIT_S
        while time.monotonic() < end_s:
            if self.next(quiet_s) is None:
                return True
        return False


def handing_over(sockets: dict[str, socket.socket]) -> tuple[list[str], tuple[int, ...]]:
    """Return what to run before the gateway's own arguments, and the descriptors to pass."""
    fds = tuple(sock.fileno() for sock in sockets.values())
    listed = ",".join(str(fd) for fd in fds)
    return [sys.executable, "-c", _EXEC, listed, ":".join(sockets)], fds


def listening(path: Path | None = None) -> socket.socket:
    """Return a listening socket, as systemd holds it."""
    family = socket.AF_INET if path is None else socket.AF_UNIX
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.bind(("127.0.0.1", 0) if path is None else str(path))
    sock.listen(128)
    return sock


def environment_of(pid: int) -> set[str]:
    """Return the names of the variables of a process."""
    text = Path(f"/proc/{pid}/environ").read_bytes()
    return {os.fsdecode(item.partition(b"=")[0]) for item in text.split(b"\0") if item}
