"""Asks the kernel what time it is, and whether somebody keeps it right."""

from __future__ import annotations

import ctypes
import time
from typing import Final

from gateway.doctor.rules.clock import ClockFacts

# ``struct timex`` has 208 bytes or fewer on every 64-bit system; all zeroes means: only tell.
_TIMEX_BYTES: Final = 512
_TIME_ERROR: Final = 5


def read_clock() -> ClockFacts:
    """Return the time and whether it is synchronised; needs no right."""
    return ClockFacts(time.time(), _synchronised())


def _synchronised() -> bool | None:
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return None
    state: int = adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return None if state < 0 else state != _TIME_ERROR
