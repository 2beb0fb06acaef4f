"""Which topics belong to known sensors, so that learn mode lists only the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable


class TopicUse:
    """Counts of sensors per topic."""

    def __init__(self) -> None:
        self._topics: dict[str, frozenset[str]] = {}
        self._count: Counter[str] = Counter()

    def __contains__(self, topic: object) -> bool:
        return topic in self._count

    def set(self, sensor_id: str, topics: Iterable[str]) -> frozenset[str]:
        """Note a sensor's topics, and return those that it did not have before."""
        after = frozenset(topics)
        before = self._topics.get(sensor_id, frozenset())
        if after == before:
            return frozenset()
        self._topics[sensor_id] = after
        self._count.update(after - before)
        self._release(before - after)
        return after - before

    def drop(self, sensor_id: str) -> None:
        """Forget a sensor's topics."""
        self._release(self._topics.pop(sensor_id, frozenset()))

    def _release(self, topics: frozenset[str]) -> None:
        for topic in topics:
            self._count[topic] -= 1
            if not self._count[topic]:
                del self._count[topic]
