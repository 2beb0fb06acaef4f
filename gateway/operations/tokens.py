"""How often something may be done at somebody else's word: a bucket of tokens. Pure."""

from __future__ import annotations


class Tokens:
    """A bucket that starts full and fills at a steady pace.

    Args:
        most: Tokens that it holds; that many may be taken at once.
        period_s: Seconds in which one token comes back.
    """

    __slots__ = ("_at_s", "_held", "_most", "_period_s")

    def __init__(self, most: int, period_s: float) -> None:
        self._most = most
        self._period_s = period_s
        self._held = float(most)
        self._at_s: float | None = None

    def take(self, now_s: float) -> bool:
        """Take a token; False if there is none, and nothing is taken."""
        self._fill(now_s)
        if self._held < 1.0:
            return False
        self._held -= 1.0
        return True

    def next_s(self, now_s: float) -> float:
        """Return when a token can be taken: ``now_s`` or later."""
        self._fill(now_s)
        return now_s + max(0.0, 1.0 - self._held) * self._period_s

    def _fill(self, now_s: float) -> None:
        if self._at_s is not None:
            self._held = min(float(self._most), self._held + (now_s - self._at_s) / self._period_s)
        self._at_s = now_s
