"""Says when the service manager's watchdog is fed: only while the loop turns and every serving model answers.

Pure.

Rules (each one is a property in ``tests/operations/test_watchdog.py``):

1. A serving model lives while one of its ready lanes answered within the watchdog's time; a batch that runs
   counts as an answer until it runs longer than the model may, when its lane is ended anyway.
2. One model that does not live, and nothing is fed.
3. A model without a ready lane (it starts, loads, is replaced, failed or is out of service) does not count: a
   restart would not bring it back. A lane that has just become ready is as good as one that answered.
4. A turn of the loop that comes later than the watchdog's time after the one before feeds nothing.
5. ``beat_s`` leaves every model two chances to answer within the watchdog's time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

# Shares of the watchdog's time: a feed that comes a whole beat late still comes in time.
_BEATS: Final = 3


@dataclass(frozen=True, slots=True)
class LaneSign:
    """The last sign of life of one ready lane.

    Attributes:
        key: Tells lanes apart, for ever.
        answered_s: When a batch or canary came back last, monotonic seconds; 0 if none did yet.
        runs_until_s: Until when the batch that it runs may run; None if it runs none.
    """

    key: int
    answered_s: float
    runs_until_s: float | None = None


def beat_s(watchdog_s: float | None, canary_interval_s: float) -> float:
    """Return how often models are asked and the watchdog is fed: in time for both."""
    return canary_interval_s if watchdog_s is None else min(canary_interval_s, watchdog_s / _BEATS)


class Watchdog:
    """Judges at every turn whether the watchdog is fed."""

    def __init__(self, watchdog_s: float) -> None:
        self.limit_s = watchdog_s
        self._turned_s: float | None = None
        self._seen_s: dict[tuple[str, int], float] = {}

    def turn(self, now_s: float, models: Mapping[str, Sequence[LaneSign]]) -> tuple[str, ...] | None:
        """Judge one turn of the loop.

        Args:
            now_s: Monotonic seconds.
            models: The ready lanes of each serving model.

        Returns:
            None to feed; else the models that do not live, which may be none if only the loop was late.
        """
        before_s, self._turned_s = self._turned_s, now_s
        self._seen_s = {
            (name, lane.key): self._seen_s.get((name, lane.key), now_s)
            for name, lanes in models.items()
            for lane in lanes
        }
        dead = tuple(
            sorted(name for name, lanes in models.items() if lanes and not self._lives(name, lanes, now_s))
        )
        late = before_s is not None and now_s - before_s > self.limit_s
        return dead if dead or late else None

    def _lives(self, name: str, lanes: Sequence[LaneSign], now_s: float) -> bool:
        return any(now_s <= self._good_until_s(name, lane) for lane in lanes)

    def _good_until_s(self, name: str, lane: LaneSign) -> float:
        idle_s = max(lane.answered_s, self._seen_s[name, lane.key]) + self.limit_s
        return idle_s if lane.runs_until_s is None else max(idle_s, lane.runs_until_s)
