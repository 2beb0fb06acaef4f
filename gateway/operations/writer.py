"""Has lines written from a thread of its own, so that a slow reader stalls nobody.

``put()`` never waits: with the queue full the line is dropped and counted, and a
line that says so follows those that were queued. The thread sleeps while there
is nothing to write.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

MAX_LINES: Final = 4096

Line = TypeVar("Line")


class LineWriter(Generic[Line]):
    """A bounded queue of lines and the thread that empties it."""

    def __init__(
        self,
        write: Callable[[list[Line]], None],
        lost_line: Callable[[int], Line],
        idle: Callable[[], float | None],
    ) -> None:
        """Prepare; ``start()`` starts the thread.

        Args:
            write: Writes lines, in order; called on the thread, may wait, never raises.
            lost_line: Makes the line that says how many were dropped.
            idle: Called on the thread before it sleeps; may ``put()``. Says after
                how many seconds it wants to be called again, None for only after
                the next line.
        """
        self._write = write
        self._lost_line = lost_line
        self._idle = idle
        self._lines: deque[Line] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._nudged = False
        self._lost = 0
        self._thread = threading.Thread(target=self._run, name="log.writer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, line: Line) -> None:
        """Queue one line; drop and count it if the queue is full."""
        with self._wake:
            if len(self._lines) >= MAX_LINES or self._closing:
                self._lost += 1
                return
            self._lines.append(line)
            self._wake.notify()

    def nudge(self) -> None:
        """Have the thread call ``idle`` anew: its answer may have changed."""
        with self._wake:
            self._nudged = True
            self._wake.notify()

    def close(self, timeout_s: float) -> None:
        """Write what is queued, for at most ``timeout_s``, and end the thread."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            chunk = self._take()
            if chunk is None:
                return
            self._write(chunk)

    def _take(self) -> list[Line] | None:
        """Wait for lines; return all that are there, None at the end."""
        while True:
            wait_s = self._idle()
            with self._wake:
                if not (self._lines or self._closing or self._nudged):
                    self._wake.wait(wait_s)
                self._nudged = False
                if self._lost:
                    self._lines.append(self._lost_line(self._lost))
                    self._lost = 0
                if self._lines:
                    chunk = list(self._lines)
                    self._lines.clear()
                    return chunk
                if self._closing:
                    return None


def write_all(fd: int, chunk: bytes) -> None:
    """Write every byte; give up in silence when nobody can be told any more."""
    view = memoryview(chunk)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except OSError:
            return
