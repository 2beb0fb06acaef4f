"""Named places in the store at which a test lets the power fail or the disk give an error.

``GATEWAY_FAILPOINT=state.rename:kill`` ends this process by SIGKILL just before
that step; ``state.rename:error:EIO`` lets the step fail; ``blob.link#3:kill``
means the third time it is reached. Unset, a point costs one comparison.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.errors import GatewayBug

VARIABLE: Final = "GATEWAY_FAILPOINT"

# What is written whole: a new file, synced, renamed over the old one.
_WHOLE: Final = ("create", "write", "fsync", "rename", "folder_fsync")
_STORE: Final[Mapping[str, tuple[str, ...]]] = {
    "open": ("folder_fsync",),
    "state": _WHOLE,
    "floor": _WHOLE,
    "quarantine": _WHOLE,
    "pause": _WHOLE,
    "aside": ("rename", "folder_fsync"),
    "part": ("create", "allocate", "write", "fdatasync", "seal", "fsync", "read_back", "folder_fsync"),
    "blob": ("rename", "folder_fsync", "remove"),
    "release": ("make", "link", "create", "write", "fsync", "seal", "away", "rename", "folder_fsync"),
    "audit": ("write", "fsync", "cut", "rotate", "folder_fsync"),
    "collect": ("rename", "remove", "folder_fsync"),
    "ballast": ("create", "write", "fsync", "drop"),
}
_TRUST: Final[Mapping[str, tuple[str, ...]]] = {
    "generation": ("make", "create", "write", "fsync", "folder_fsync", "remove"),
    "trust": _WHOLE,
    "trust_floor": _WHOLE,
    "trust_clock": _WHOLE,
}
POINTS: Final = frozenset(f"{what}.{step}" for what, steps in _STORE.items() for step in steps)
# Those of the updater's trust, which has its own folder in the store.
TRUST_POINTS: Final = frozenset(f"{what}.{step}" for what, steps in _TRUST.items() for step in steps)


@dataclass(slots=True)
class _Armed:
    """One armed point: its name, hits to go, and the error number (0 means kill)."""

    name: str
    hits: int
    number: int


def _parse(text: str) -> _Armed | None:
    if not text:
        return None
    place, _, action = text.partition(":")
    name, _, hits = place.partition("#")
    kind, _, code = action.partition(":")
    number = getattr(errno, code, 0) if kind == "error" else 0
    if name not in POINTS | TRUST_POINTS or not (kind == "kill" or number) or not (hits or "1").isdecimal():
        raise GatewayBug(f"{VARIABLE}={text[:80]!a}: NAME[#HITS]:kill or NAME[#HITS]:error:ERRNO is wanted")
    return _Armed(name, int(hits or "1"), number)


_armed: _Armed | None = _parse(os.environ.get(VARIABLE, ""))


def failpoint(name: str) -> None:
    """Do nothing, unless this very point is armed and due.

    Raises:
        OSError: The point is armed with this error; it stays so, as a broken disk does.
    """
    armed = _armed
    if armed is None or armed.name != name:
        return
    armed.hits -= 1
    if armed.hits > 0:
        return
    if armed.number:
        raise OSError(armed.number, f"{os.strerror(armed.number)} (failpoint {name})")
    os.kill(os.getpid(), signal.SIGKILL)


@contextlib.contextmanager
def armed(text: str) -> Iterator[None]:
    """Arm one point in this process, in the words of the variable.

    Raises:
        GatewayBug: It names no point or no action.
    """
    global _armed  # noqa: PLW0603 - one process, one broken disk
    before, _armed = _armed, _parse(text)
    try:
        yield
    finally:
        _armed = before
