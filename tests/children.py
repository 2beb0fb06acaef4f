"""The child processes that a test has started: those that tests before it left to us do not count."""

from __future__ import annotations

import os
from pathlib import Path

_before: set[str] = set()


def begin() -> None:
    """Take whoever is there now for somebody else's; called before every test."""
    _before.clear()
    _before.update(_all())


def children() -> list[str]:
    """Return the process ids of our children that were not there when the test began."""
    return [pid for pid in _all() if pid not in _before]


def _all() -> list[str]:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
