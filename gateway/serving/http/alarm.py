"""One timer that is moved often and rings seldom: moving it further away costs a store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


def _nobody() -> None:
    """Stand in for who is rung."""


class Alarm:
    """Calls ``ring`` once a deadline has passed that was neither moved nor cleared."""

    __slots__ = ("_deadline_s", "_handle", "_loop", "_ring")

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._deadline_s: float | None = None
        self._handle: asyncio.TimerHandle | None = None

    def within(self, seconds: float) -> None:
        """Ring after so many seconds, instead of whatever was set before."""
        self.at(self._loop.time() + seconds)

    def at(self, deadline_s: float) -> None:
        """Ring at a time of the loop's clock, instead of whatever was set before."""
        self._deadline_s = deadline_s
        handle = self._handle
        if handle is not None:
            if handle.when() <= deadline_s:
                return
            handle.cancel()
        self._handle = self._loop.call_at(deadline_s, self._look)

    def clear(self) -> None:
        """Do not ring."""
        self._deadline_s = None

    def drop(self) -> None:
        """Never ring again, and keep nothing that holds on to anything."""
        self._deadline_s = None
        self._ring = _nobody
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _look(self) -> None:
        self._handle = None
        deadline_s = self._deadline_s
        if deadline_s is None:
            return
        if deadline_s > self._loop.time():
            self._handle = self._loop.call_at(deadline_s, self._look)
            return
        self._deadline_s = None
        self._ring()
