"""One line that says how far a long command is: on a terminal only, and gone when it is done."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Final, TextIO

_WIDTH: Final = 24
_WIDE: Final = 30
_EVERY_S: Final = 0.1
_CLEAR: Final = "\r\033[K"


class ProgressLine:
    """A line rewritten in place; enter it, so that it is taken away whatever happens.

    Args:
        stream: Where it is drawn; nothing is if that is no terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._drawn = ""
        self._shown = stream.isatty()

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._drawn:
            self._stream.write(_CLEAR)
            self._stream.flush()

    def show(self, what: str, done: int, total: int) -> None:
        """Draw what is done now.

        Args:
            what: In words.
            done: Steps behind.
            total: Steps altogether; 0 if nobody knows.
        """
        self.draw(f"{what}{progress_bar(done, total)}")

    def draw(self, text: str) -> None:
        """Put a text in the line's place."""
        if self._shown and text != self._drawn:
            self._stream.write(f"{_CLEAR}{text}")
            self._stream.flush()
            self._drawn = text


class ByteProgress:
    """Told of bytes at every step, it draws them on a line ten times a second at most.

    Args:
        what: A few words before the bar.
        line: Where it is drawn; the caller's, who takes it away.
    """

    def __init__(self, what: str, line: ProgressLine) -> None:
        self._what = what
        self._line = line
        self._next_s = 0.0

    def __call__(self, done_bytes: int, total_bytes: int) -> None:
        """Draw how far it is, unless that was drawn just now."""
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + _EVERY_S
            self._line.draw(byte_bar(self._what, done_bytes, total_bytes))


def progress_bar(done: int, total: int) -> str:
    """Return a bar with numbers; dots if nobody knows how much there is."""
    if total <= 0:
        return " ..."
    return f" {_cells(done / total, _WIDTH)} {done}/{total}"


def byte_bar(what: str, done_bytes: int, total_bytes: int) -> str:
    """Return a bar of bytes as one line without its end; it is full if there are none."""
    share = min(done_bytes / total_bytes, 1.0) if total_bytes else 1.0
    return f"{what} {_cells(share, _WIDE)} {share:4.0%} {done_bytes / 1e6:.1f} of {total_bytes / 1e6:.1f} MB"


def _cells(share: float, width: int) -> str:
    full = int(min(max(share, 0.0), 1.0) * width)
    return f"[{'#' * full}{'.' * (width - full)}]"
