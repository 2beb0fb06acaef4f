"""Takes over the sockets that a service manager opened for this process, each by its name.

The protocol is sd_listen_fds's: descriptors from 3 on, counted in $LISTEN_FDS and named in $LISTEN_FDNAMES,
for the process $LISTEN_PID alone. With systemd-python installed its functions read them, else the lines
below do.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Final

FIRST_FD: Final = 3
VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
# What systemd calls sockets without a name.
_UNNAMED: Final = frozenset({"", "unknown", "stored"})
_MOST: Final = 64


@dataclass(frozen=True, slots=True)
class RefusedSocket:
    """A descriptor that nobody here serves; it was closed.

    Attributes:
        name: What the service manager calls it.
        fd: Its number.
        why: Why it is not served.
    """

    name: str
    fd: int
    why: str


@dataclass(frozen=True, slots=True)
class HandedOver:
    """What was handed over: descriptors by name, owned by whoever takes them, and those that were refused."""

    sockets: Mapping[str, tuple[int, ...]]
    refused: tuple[RefusedSocket, ...] = ()

    def of(self, name: str) -> tuple[int, ...]:
        """Return the listening descriptors of this name."""
        return self.sockets.get(name, ())


def take_over(environment: MutableMapping[str, str], pid: int, wanted: Sequence[str]) -> HandedOver:
    """Take the sockets over: the variables leave the environment, no child inherits a descriptor.

    Args:
        environment: The process's own, from which the variables are taken.
        pid: This process: what was meant for another is not touched.
        wanted: The names that are served; sockets without names are taken in this order.
    """
    names = _library_names(environment)
    said = {name: environment.pop(name, "") for name in VARIABLES}
    if names is None:
        names = handed_names(said, pid)
    found: dict[str, tuple[int, ...]] = {}
    refused = []
    for index, given in enumerate(names):
        fd = FIRST_FD + index
        name = wanted[index] if given in _UNNAMED and index < len(wanted) else given
        why = _misfit(fd) or ("" if name in wanted else "no socket of this name is served")
        if why:
            refused.append(RefusedSocket(name, fd, why))
            _close(fd)
            continue
        os.set_inheritable(fd, False)
        found[name] = (*found.get(name, ()), fd)
    return HandedOver(found, tuple(refused))


def handed_names(said: Mapping[str, str], pid: int) -> list[str]:
    """Return the name of each descriptor from ``FIRST_FD`` on; nothing if they are another process's."""
    count = said.get("LISTEN_FDS", "")
    if said.get("LISTEN_PID", "") != str(pid) or not (count.isascii() and count.isdigit()):
        return []
    if len(count) > len(str(_MOST)) or int(count) > _MOST:
        return []
    names = said.get("LISTEN_FDNAMES", "").split(":")
    return [names[index] if index < len(names) else "" for index in range(int(count))]


def _library_names(environment: Mapping[str, str]) -> list[str] | None:
    """Return the names as systemd-python reads them; None if it is not installed or fails."""
    try:
        from systemd import daemon
    except ImportError:
        return None
    try:
        if hasattr(daemon, "listen_fds_with_names"):
            return list(daemon.listen_fds_with_names(False).values())
        count = len(daemon.listen_fds(False))
    except OSError:
        return None
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    return [names[index] if index < len(names) else "" for index in range(count)]


def _misfit(fd: int) -> str:
    """Say why a descriptor cannot be served; empty if it can."""
    try:
        with socket.socket(fileno=os.dup(fd)) as sock:
            if sock.type != socket.SOCK_STREAM or not sock.getsockopt(
                socket.SOL_SOCKET, socket.SO_ACCEPTCONN
            ):
                return "it is not a listening stream socket"
    except OSError as error:
        return f"it is no socket: {error.strerror}"
    return ""


def _close(fd: int) -> None:
    try:
        os.close(fd)
    except OSError:
        return
