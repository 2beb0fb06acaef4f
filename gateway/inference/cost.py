"""What a batch of n rows costs: a + b·n seconds, learned from what batches took.

An exponentially forgetting least-squares line; pure.
"""

from __future__ import annotations

_MEMORY = 0.97  # a batch counts half after about 23 more: follows clock changes within a second


class BatchCost:
    """Learns one model's line."""

    def __init__(self) -> None:
        self._weight = self._x = self._y = self._xx = self._xy = 0.0

    @property
    def known(self) -> bool:
        """Whether any batch was observed."""
        return self._weight > 0

    def observe(self, rows: int, took_s: float) -> None:
        """Learn that ``rows`` rows took ``took_s`` seconds."""
        self._weight = self._weight * _MEMORY + 1
        self._x = self._x * _MEMORY + rows
        self._y = self._y * _MEMORY + took_s
        self._xx = self._xx * _MEMORY + rows * rows
        self._xy = self._xy * _MEMORY + rows * took_s

    def line(self) -> tuple[float, float]:
        """Return (a, b), both at least 0; zeros before anything was observed.

        While every batch had the same size the line cannot be told from one
        through the origin, which is the safe reading: it never promises that a
        larger batch is nearly free.
        """
        if not self._weight:
            return 0.0, 0.0
        spread = self._weight * self._xx - self._x * self._x
        if spread <= 1e-9 * self._weight * self._xx:
            return 0.0, max(0.0, self._y / self._x)
        slope = (self._weight * self._xy - self._x * self._y) / spread
        slope = min(max(slope, 0.0), self._y / self._x)
        return max(0.0, (self._y - slope * self._x) / self._weight), slope

    def expect_s(self, rows: int) -> float:
        """Return the seconds that ``rows`` rows should take; 0 if unknown."""
        fixed_s, per_row_s = self.line()
        return fixed_s + per_row_s * rows
