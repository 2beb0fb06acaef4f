"""Ports for what a test starts: neither the kernel nor a run of tests beside this one gives them away."""

from __future__ import annotations

import contextlib
import itertools
import socket
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

_FIRST: Final = 10_000
_BLOCK: Final = 500
_KERNELS: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on now, and that nobody takes unless told to.

    The kernel chooses out of a range of its own, for port 0 and for whoever connects: what it says is
    free may be somebody's before the program that is told of it listens, and a client that asks again
    and again for a port of that range, where nobody listens yet, meets itself there one day.
    """
    for port in itertools.islice(_ports(), _BLOCK):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("every port of the tests is in use")


@cache
def _ports() -> Iterator[int]:
    """Return the ports of a block that is this process's alone until it ends, round and round."""
    below = int(_KERNELS.read_text().split()[0])
    for first in range(_FIRST, below - _BLOCK + 1, _BLOCK):
        lock = socket.socket(socket.AF_UNIX)
        try:
            lock.bind(f"\0gateway-tests-ports-{first}")  # gone with the last who holds it
        except OSError:
            lock.close()
            continue
        _held.append(lock)
        return itertools.cycle(range(first, first + _BLOCK))
    raise RuntimeError(f"no {_BLOCK} ports are left below {below}, where the kernel's own begin")


_held: Final[list[socket.socket]] = []
