"""Median and tail of recent durations in a few kilobytes, for the status page.

Pure: time is given. Durations are counted in bins whose edges grow by a tenth,
in slices of a sliding window; the oldest slice is emptied and used again.

Rules (each one is a property in ``tests/operations/test_quantiles.py``):

1. A quantile lies within 5 % of the exact one, between 0.1 ms and 100 s.
2. What is older than the window never counts; what is younger than the window
   less one slice always does.
3. Memory is fixed at construction.
"""

from __future__ import annotations

import math
from array import array
from typing import Final

LOWEST_S: Final = 1e-4
HIGHEST_S: Final = 100.0
_GROWTH: Final = 1.1
_PER_E: Final = 1.0 / math.log(_GROWTH)
_OFFSET: Final = -math.log(LOWEST_S) * _PER_E
_BINS: Final = math.ceil(math.log(HIGHEST_S / LOWEST_S) * _PER_E)
_EMPTY: Final = bytes(4 * _BINS)


class Quantiles:
    """Counts durations of about the last ``window_s`` seconds."""

    __slots__ = ("_counts", "_slice_s", "_slices")

    def __init__(self, window_s: float = 60.0, slices: int = 6) -> None:
        self._slice_s = window_s / slices
        # Number of the slice of time that each ring place holds, and its bins.
        self._slices = [-1] * slices
        self._counts = [array("I", _EMPTY) for _ in range(slices)]

    def observe(self, duration_s: float, now_s: float) -> None:
        """Count one duration; what is outside the range counts as its nearest end."""
        number = int(now_s / self._slice_s)
        place = number % len(self._slices)
        if self._slices[place] != number:
            self._slices[place] = number
            self._counts[place] = array("I", _EMPTY)
        if duration_s <= LOWEST_S:
            index = 0
        elif duration_s >= HIGHEST_S:
            index = _BINS - 1
        else:
            index = min(_BINS - 1, int(math.log(duration_s) * _PER_E + _OFFSET))
        self._counts[place][index] += 1

    def read(self, now_s: float, *fractions: float) -> tuple[float, ...] | None:
        """Return the quantiles at ``fractions``, in seconds; None if the window is empty.

        Args:
            now_s: Monotonic seconds.
            fractions: Between 0 and 1: 0.5 asks for the median.
        """
        oldest = int(now_s / self._slice_s) - len(self._slices)
        recent = [
            counts
            for number, counts in zip(self._slices, self._counts, strict=True)
            if number > oldest and number >= 0
        ]
        totals = [sum(column) for column in zip(*recent, strict=True)]
        count = sum(totals)
        if count == 0:
            return None
        return tuple(_at(totals, max(1, math.ceil(fraction * count))) for fraction in fractions)


def _at(totals: list[int], rank: int) -> float:
    """Return the geometric middle of the bin that holds the ``rank``-th smallest."""
    seen = 0
    for index, count in enumerate(totals):
        seen += count
        if seen >= rank:
            return math.exp((index + 0.5 - _OFFSET) / _PER_E)
    return HIGHEST_S
