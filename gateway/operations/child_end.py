"""Says in words how a child process ended: by which signal, with which code, and what it said last."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Final

_MOST_LETTERS: Final = 300


def signal_name(number: int) -> str:
    """Return what people call a signal."""
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have no names
        return f"signal {number}"


def last_words(stderr: bytes, tells: Callable[[str], object] = str.strip) -> str:
    """Return the last line that a child wrote on standard error, after a colon; empty if there is none.

    Args:
        stderr: The end of what it wrote.
        tells: Says of a line whether it tells anything.
    """
    lines = [line for line in stderr.decode(errors="replace").splitlines() if tells(line)]
    return f": {lines[-1].strip()[:_MOST_LETTERS]}" if lines else ""
