"""Lets one event of a kind and subject through per interval, and counts the rest.

Pure: ``gateway.operations.log`` passes the time in and writes what comes out.

Rules (each one is a property in ``tests/operations/test_throttle.py``):

1. The first event of a key passes; the next passes once an interval has gone by.
2. Every event held back is counted exactly once, in a later answer of ``admit()``,
   ``due()`` or ``drain()``.
3. At most ``max_keys`` keys are kept, plus one per event for all subjects that find no room.
4. After ``next_wakeup_s()`` a ``due()`` call has something to report; before, nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

Key = tuple[str, ...]

# Subjects that found no room share this one, so that a flood of new names
# costs neither memory nor lines.
OTHER: Final = "(other)"


@dataclass(slots=True)
class _Window:
    ends_s: float
    held: int = 0


@dataclass(frozen=True, slots=True)
class Held:
    """How many events of a key were held back.

    Attributes:
        key: Event name, then the subject.
        count: Events held back since the last one that passed.
    """

    key: Key
    count: int


class Throttle:
    """One window per key; keys are kept in the order in which their windows end."""

    def __init__(self, interval_s: float, max_keys: int = 1024) -> None:
        self._interval_s = interval_s
        self._max_keys = max_keys
        self._windows: OrderedDict[Key, _Window] = OrderedDict()
        self._holding = 0

    def __len__(self) -> int:
        """Return the number of keys kept."""
        return len(self._windows)

    @property
    def holding(self) -> bool:
        """Whether any count waits to be reported."""
        return self._holding > 0

    def admit(self, key: Key, now_s: float) -> int | None:
        """Decide on one event.

        Returns:
            None if it is held back; else how many of its key were held back
            before it and are not reported yet.
        """
        if self._interval_s <= 0:
            return 0
        self._drop_ended(now_s)
        window = self._windows.get(key)
        if window is None and len(self._windows) >= self._max_keys:
            key = (key[0], OTHER)
            window = self._windows.get(key)
        if window is not None and window.ends_s > now_s:
            self._holding += window.held == 0
            window.held += 1
            return None
        suppressed = 0
        if window is not None:
            suppressed = window.held
            self._holding -= suppressed > 0
            del self._windows[key]
        self._windows[key] = _Window(now_s + self._interval_s)
        return suppressed

    def due(self, now_s: float) -> tuple[Held, ...]:
        """Report, and forget, the counts of all windows that have ended."""
        ended = []
        for key, window in self._windows.items():
            if window.ends_s > now_s:
                break
            if window.held:
                ended.append(Held(key, window.held))
        for held in ended:
            del self._windows[held.key]
        self._holding -= len(ended)
        self._drop_ended(now_s)
        return tuple(ended)

    def drain(self) -> tuple[Held, ...]:
        """Report, and forget, every count; for the end."""
        held = tuple(Held(key, window.held) for key, window in self._windows.items() if window.held)
        self._windows.clear()
        self._holding = 0
        return held

    def next_wakeup_s(self) -> float | None:
        """Return when ``due()`` next has something to report; None if nothing is held back."""
        if not self._holding:
            return None
        return next(window.ends_s for window in self._windows.values() if window.held)

    def _drop_ended(self, now_s: float) -> None:
        while self._windows:
            key, window = next(iter(self._windows.items()))
            if window.ends_s > now_s or window.held:
                return
            del self._windows[key]
