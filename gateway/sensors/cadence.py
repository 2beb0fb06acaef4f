"""How often a stream speaks, learned from the gaps between its messages in constant time each.

Presence asks each stream for the silence that is still normal. The median of
the last gaps is used, so that a few outages or bursts do not move it; it is
worked out anew only when the gaps kept have all been replaced.
"""

from __future__ import annotations

_GAPS = 15
_FIRST = 3


class Cadence:
    """Gaps of one stream.

    Attributes:
        last_s: Time of the last message; None before the first, or after a
            break in which messages could not have come.
        median_s: Median gap; 0 until three gaps are known.
    """

    __slots__ = ("_at", "_gaps", "last_s", "median_s")

    def __init__(self) -> None:
        self.last_s: float | None = None
        self.median_s = 0.0
        self._gaps: list[float] = []
        self._at = 0

    def arrived(self, now_s: float) -> bool:
        """Note a message, and return whether the median was worked out anew.

        Time that goes backwards counts as no time at all.
        """
        last_s = self.last_s
        if last_s is None:
            self.last_s = now_s
            return True
        gaps = self._gaps
        if now_s > last_s:
            self.last_s = now_s
            gap_s = now_s - last_s
        else:
            gap_s = 0.0
        if len(gaps) < _GAPS:
            gaps.append(gap_s)
            if len(gaps) >= _FIRST:
                self.median_s = sorted(gaps)[len(gaps) // 2]
            return True
        gaps[self._at] = gap_s
        self._at += 1
        if self._at < _GAPS:
            return False
        self._at = 0
        self.median_s = sorted(gaps)[_GAPS // 2]
        return True

    def broken(self) -> None:
        """Forget when the last message came: the next gap would measure the outage."""
        self.last_s = None
