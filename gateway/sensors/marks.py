"""Which sensors carry the same marks, so that one device behind two dialects is noticed."""

from __future__ import annotations

MAX_SHARING = 8


class Marks:
    """An index from marks to sensor ids.

    A mark that more than a few sensors carry tells nothing (a factory's default
    serial): whoever comes after them is not indexed by it.
    """

    def __init__(self) -> None:
        self._ids: dict[str, dict[str, None]] = {}

    def add(self, sensor_id: str, marks: tuple[str, ...]) -> set[str]:
        """Enter a sensor, and return the others that share a mark."""
        for mark in marks:
            ids = self._ids.setdefault(mark, {})
            if len(ids) < MAX_SHARING:
                ids[sensor_id] = None
        return self.siblings(sensor_id, marks)

    def remove(self, sensor_id: str, marks: tuple[str, ...]) -> set[str]:
        """Take a sensor out, and return the others that shared a mark."""
        siblings = self.siblings(sensor_id, marks)
        for mark in marks:
            ids = self._ids.get(mark, {})
            ids.pop(sensor_id, None)
            if not ids:
                self._ids.pop(mark, None)
        return siblings

    def siblings(self, sensor_id: str, marks: tuple[str, ...]) -> set[str]:
        """Return the other sensors that share a mark."""
        return {other for mark in marks for other in self._ids.get(mark, ()) if other != sensor_id}
