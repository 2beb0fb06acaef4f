"""How slow a source may be: a least rate over a sliding window of the time spent waiting for it. Pure.

Only waiting counts: while we hash and write, the source is not to blame.
"""

from __future__ import annotations

from collections import deque
from typing import Final

# The window slides in this many steps.
_STEPS: Final = 10


class Pace:
    """The bytes that came within the last ``window_s`` of waiting.

    Args:
        least_bytes_s: Rate below which the source is too slow.
        window_s: Waiting over which the rate is taken; that long nothing at all is borne.
    """

    def __init__(self, least_bytes_s: float, window_s: float) -> None:
        self._least_bytes_s = least_bytes_s
        self._window_s = window_s
        self._steps: deque[tuple[float, int]] = deque()
        self._waited_s = 0.0
        self._bytes = 0

    def begin(self) -> None:
        """Forget what was: another request begins."""
        self._steps.clear()
        self._waited_s = 0.0
        self._bytes = 0

    def took(self, count: int, waited_s: float) -> None:
        """Note ``count`` bytes for which we waited ``waited_s``."""
        last = self._steps[-1] if self._steps else (self._window_s, 0)
        if last[0] < self._window_s / _STEPS:
            self._steps[-1] = (last[0] + waited_s, last[1] + count)
        else:
            self._steps.append((waited_s, count))
        self._waited_s += waited_s
        self._bytes += count
        while self._waited_s - self._steps[0][0] >= self._window_s:
            gone_s, gone = self._steps.popleft()
            self._waited_s -= gone_s
            self._bytes -= gone

    @property
    def rate_bytes_s(self) -> float:
        """Rate over the window; infinite before anything was waited for."""
        return self._bytes / self._waited_s if self._waited_s > 0 else float("inf")

    @property
    def too_slow(self) -> bool:
        """Whether a whole window of waiting brought too little."""
        return self._waited_s >= self._window_s and self.rate_bytes_s < self._least_bytes_s
