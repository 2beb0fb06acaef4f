"""How long a slow client is waited for: a while at first, and as long as it goes on at a least rate. Pure."""

from __future__ import annotations


class Pace:
    """A deadline that moves away with every byte, but never further than ``longest_s`` from now.

    So the whole takes at most ``longest_s + bytes / least_bytes_s``, and a client that was fast
    before it fell silent is not waited for any longer than another.

    Args:
        longest_s: Longest silence.
        least_bytes_s: Slowest rate.
        now_s: Monotonic seconds.
    """

    __slots__ = ("_least_bytes_s", "_longest_s", "deadline_s")

    def __init__(self, longest_s: float, least_bytes_s: float, now_s: float) -> None:
        self._longest_s = longest_s
        self._least_bytes_s = least_bytes_s
        self.deadline_s = now_s + longest_s

    def moved(self, count: int, now_s: float) -> float:
        """Know that so many bytes went on; return until when the next are waited for."""
        self.deadline_s = min(now_s + self._longest_s, self.deadline_s + count / self._least_bytes_s)
        return self.deadline_s
