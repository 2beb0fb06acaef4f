"""When something that crashed may start again, and when it is given up.

The worker pool keeps one ``Restart`` per model and asks it after each crash.
Pure: time and jitter are given, nothing is awaited.

Rules (each one is a property in ``tests/operations/test_restart.py``):

1. A pause is never shorter than ``min_s`` nor longer than ``max_s``.
2. Pauses never get shorter until ``stable()``; after it they begin at ``min_s`` again.
3. ``crash_limit`` crashes within ``crash_window_s`` end in ``GiveUp``, stable in between or not.
4. Once given up, it stays given up.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RestartLimits:
    """How patient to be.

    Attributes:
        min_s: First pause, in seconds; above 0.
        max_s: Longest pause, in seconds; at least ``min_s``.
        crash_limit: Crashes within the window that are too many; at least 1.
        crash_window_s: The window, in seconds; above 0.

    Raises:
        ValueError: A limit is out of the range above.
    """

    min_s: float
    max_s: float
    crash_limit: int
    crash_window_s: float

    def __post_init__(self) -> None:
        if not 0 < self.min_s <= self.max_s or self.crash_limit < 1 or self.crash_window_s <= 0:
            raise ValueError(f"impossible restart limits: {self}")


@dataclass(frozen=True, slots=True)
class Wait:
    """Start again after a pause.

    Attributes:
        delay_s: Length of the pause, in seconds.
    """

    delay_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not start again: it crashes faster than it is worth.

    Attributes:
        crashes: Crashes within the window.
        window_s: The window, in seconds.
    """

    crashes: int
    window_s: float


class Restart:
    """Counts the crashes of one thing and paces its starts."""

    def __init__(self, limits: RestartLimits) -> None:
        self._limits = limits
        self._crashes_s: deque[float] = deque(maxlen=limits.crash_limit)
        self._next_s = limits.min_s
        self._given_up: GiveUp | None = None

    @property
    def given_up(self) -> bool:
        """Whether the last word was ``GiveUp``."""
        return self._given_up is not None

    def failed(self, now_s: float, jitter: float) -> Wait | GiveUp:
        """Count one crash and say what to do.

        Args:
            now_s: Monotonic seconds, never less than in the call before.
            jitter: A fresh random number in [0, 1], so that things that crashed
                together do not all start together.
        """
        if self._given_up is not None:
            return self._given_up
        self._forget(now_s)
        self._crashes_s.append(now_s)
        if len(self._crashes_s) >= self._limits.crash_limit:
            self._given_up = GiveUp(len(self._crashes_s), self._limits.crash_window_s)
            return self._given_up
        # The jitter at most doubles, and the next base is doubled: never shorter.
        delay_s = min(self._limits.max_s, self._next_s * (1 + jitter))
        self._next_s = min(self._limits.max_s, self._next_s * 2)
        return Wait(delay_s)

    def stable(self, now_s: float) -> None:
        """Say that it has worked: the next pause is short again.

        The crashes of the window stay counted, so that something that answers
        once and dies, again and again, is given up all the same.
        """
        self._forget(now_s)
        self._next_s = self._limits.min_s

    def _forget(self, now_s: float) -> None:
        oldest_s = now_s - self._limits.crash_window_s
        while self._crashes_s and self._crashes_s[0] <= oldest_s:
            self._crashes_s.popleft()
