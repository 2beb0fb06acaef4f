"""A progress bar on standard error, for whoever watches a terminal; nothing anywhere else."""

from __future__ import annotations

import time
from typing import TextIO

_WIDTH = 30
_EVERY_S = 0.1


class ProgressBar:
    """One bar for one piece of work; call ``done`` at its end."""

    def __init__(self, what: str, stream: TextIO) -> None:
        """Draw nothing yet.

        Args:
            what: A few words before the bar.
            stream: Where to draw, if it is a terminal.
        """
        self._what = what
        self._stream = stream
        self._live = stream.isatty()
        self._next_s = 0.0
        self._drawn = False

    def __call__(self, done_bytes: int, total_bytes: int) -> None:
        """Draw how far it is, ten times a second at most."""
        if not self._live or time.monotonic() < self._next_s:
            return
        self._next_s = time.monotonic() + _EVERY_S
        self._drawn = True
        self._stream.write("\r" + bar(self._what, done_bytes, total_bytes))
        self._stream.flush()

    def done(self) -> None:
        """Wipe the bar away."""
        if self._drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


def bar(what: str, done_bytes: int, total_bytes: int) -> str:
    """Return a bar as one line without its end."""
    share = min(done_bytes / total_bytes, 1.0) if total_bytes else 1.0
    full = int(share * _WIDTH)
    cells = "#" * full + "." * (_WIDTH - full)
    return f"{what} [{cells}] {share:4.0%} {done_bytes / 1e6:.1f} of {total_bytes / 1e6:.1f} MB"
