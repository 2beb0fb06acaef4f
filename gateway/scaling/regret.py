"""A lane that had to be given back is not added again while memory is as short as then. Pure.

Without this, a lane that costs more than was measured, or another program that
comes and goes, would have the same lane added and retired for ever. The memory
fades, since the other program may have gone for good; each time that the same
happens again it lasts twice as long.
"""

from __future__ import annotations

_FIRST_COOLDOWNS = 10
_MOST_SPANS = 16


class Regret:
    """What one device's memory taught about the last lanes that were added."""

    def __init__(self, cooldown_s: float) -> None:
        self._first_s = _FIRST_COOLDOWNS * cooldown_s
        self._span_s = 0.0
        self._until_s: float | None = None
        self._needed_bytes = 0.0
        self._grew: tuple[float, float] | None = None

    def grew(self, at_s: float, available_bytes: float, cost_bytes: float) -> None:
        """Note that a lane is added, and what memory there was."""
        self._grew = (at_s, available_bytes + cost_bytes)

    def gave_back(self, at_s: float) -> None:
        """Note that lanes are retired for want of memory."""
        if self._grew is None or at_s - self._grew[0] > self._first_s:
            return
        self._needed_bytes = self._grew[1]
        self._span_s = min(self._first_s * _MOST_SPANS, max(self._first_s, 2 * self._span_s))
        self._until_s = at_s + self._span_s
        self._grew = None

    def forbids(self, at_s: float, available_bytes: float) -> tuple[float, float] | None:
        """Return the bytes that must be available and for how long yet; None if a lane may be added."""
        if self._grew is not None and at_s - self._grew[0] > self._first_s:
            self._grew = None
            self._span_s = 0.0  # the last lane stayed: what was learned before holds no more
        if self._until_s is None or at_s >= self._until_s or available_bytes >= self._needed_bytes:
            return None
        return self._needed_bytes, self._until_s - at_s

    def forget(self) -> None:
        """Forget all: the numbers come from another source now."""
        self._grew = self._until_s = None
        self._span_s = 0.0
