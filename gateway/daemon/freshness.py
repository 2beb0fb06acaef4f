"""How long a frame was on its way, although the sensor's clock is not ours. Pure.

A sensor's capture time and our monotonic clock differ by an unknown offset plus
the way. The least difference seen lately is the offset with the fastest way;
what a frame needed beyond that, it spent waiting somewhere, and is that much
older than its arrival says. A sensor whose clock is set makes every frame late
by the same amount: after a few such frames that is the new offset.
"""

from __future__ import annotations

_WINDOW_S = 60.0  # an offset is forgotten after one to two windows: clocks drift
_MOST_LATE_S = 3600.0
_STEADY_FRAMES = 8
_STEADY_S = 0.1


class Freshness:
    """Learns the offset of one stream's clock."""

    __slots__ = ("_before", "_last", "_now", "_steady", "_turn_s")

    def __init__(self) -> None:
        self._before = float("inf")
        self._now = float("inf")
        self._turn_s = 0.0
        self._last = float("-inf")
        self._steady = 0

    def late_s(self, captured_at: float, now_s: float) -> float:
        """Return how many seconds later than the fastest recent frame this one came.

        Args:
            captured_at: The sensor's clock at capture, in unix seconds.
            now_s: Monotonic seconds at arrival.
        """
        difference_s = now_s - captured_at
        if now_s - self._turn_s > _WINDOW_S:
            self._before = self._now if now_s - self._turn_s < 2 * _WINDOW_S else float("inf")
            self._now = float("inf")
            self._turn_s = now_s
        self._now = min(self._now, difference_s)
        late_s = difference_s - min(self._before, self._now)
        same = late_s > _STEADY_S and abs(difference_s - self._last) < _STEADY_S
        self._steady = self._steady + 1 if same else 0
        self._last = difference_s
        if late_s >= _MOST_LATE_S or self._steady >= _STEADY_FRAMES:  # the sensor's clock was set
            self._before = self._now = difference_s
            self._steady = 0
            return 0.0
        return late_s
