"""Tells the service manager how the process fares: ready, reloading, stopping, its status, that it is alive.

The protocol is sd_notify's: one datagram of ``KEY=value`` lines to $NOTIFY_SOCKET. Without a service manager
nothing happens. Nothing here ever raises or waits: a manager that does not listen costs the message.
systemd-python's ``notify`` is no way, for it waits as long as the manager does not read.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, MutableMapping
from typing import Final

_MICRO: Final = 1_000_000
_MAX_STATUS: Final = 400
# Of these, none is a child's business.
VARIABLES: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")

Send = Callable[[str], None]


class Notifier:
    """The way to the service manager; silent where there is none."""

    def __init__(self, send: Send | None = None, watchdog_s: float | None = None) -> None:
        """Take the way.

        Args:
            send: Sends one message; None without a service manager.
            watchdog_s: After how many seconds without ``alive()`` it ends the process; None for never.
        """
        self.watchdog_s = watchdog_s if send is not None else None
        self._send = send
        self._status = ""

    @classmethod
    def of(cls, environment: MutableMapping[str, str], pid: int) -> Notifier:
        """Read what the service manager left in the environment, and take it out for the children's sake."""
        path, usec, owner = (environment.pop(name, "") for name in VARIABLES)
        if not path.startswith(("/", "@")):
            return cls()
        watchdog_s = None
        if usec.isascii() and usec.isdigit() and int(usec) > 0 and owner in ("", str(pid)):
            watchdog_s = int(usec) / _MICRO
        return cls(_socket_send(path), watchdog_s)

    @property
    def is_there(self) -> bool:
        """Whether anybody is told."""
        return self._send is not None

    def ready(self, status: str) -> None:
        """Say that the start, or a reload, is over."""
        self._tell("READY=1", status)

    def reloading(self, status: str) -> None:
        """Say that a reload has begun; ``ready()`` ends it, whether it was applied or refused."""
        stamp_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={stamp_us}", status)

    def stopping(self, status: str) -> None:
        """Say that the stop has begun."""
        self._tell("STOPPING=1", status)

    def status(self, status: str) -> None:
        """Say in words what goes on; a text that was said already is not sent again."""
        if status != self._status:
            self._tell("", status)

    def alive(self) -> None:
        """Put the end of the process off for another ``watchdog_s``."""
        if self.watchdog_s is not None:
            self._tell("WATCHDOG=1")

    def extend(self, seconds: float) -> None:
        """Ask that a start, reload or stop may go on for so many seconds from now."""
        self._tell(f"EXTEND_TIMEOUT_USEC={max(1, int(seconds * _MICRO))}")

    def _tell(self, state: str, status: str = "") -> None:
        if self._send is None:
            return
        lines = [state] if state else []
        if status:
            self._status = status
            plain = "".join(c if c.isprintable() else " " for c in status)
            lines.append(f"STATUS={plain[:_MAX_STATUS]}")
        self._send("\n".join(lines))


def _socket_send(path: str) -> Send:
    """Return the way to a socket; "@" begins an abstract address."""
    address = f"\0{path[1:]}" if path.startswith("@") else path

    def send(message: str) -> None:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                sock.sendto(message.encode("utf-8", "replace"), address)
        except OSError:
            return

    return send
