"""One line that says how far a long command is: on a terminal only, and gone when it is done."""

from __future__ import annotations

from types import TracebackType
from typing import Final, TextIO

_WIDTH: Final = 24
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
        text = f"{what}{progress_bar(done, total)}"
        if self._shown and text != self._drawn:
            self._stream.write(f"{_CLEAR}{text}")
            self._stream.flush()
            self._drawn = text


def progress_bar(done: int, total: int) -> str:
    """Return a bar with numbers; dots if nobody knows how much there is."""
    if total <= 0:
        return " ..."
    share = min(max(done / total, 0.0), 1.0)
    full = round(share * _WIDTH)
    return f" [{'#' * full}{'.' * (_WIDTH - full)}] {done}/{total}"
