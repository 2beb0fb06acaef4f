"""Shows the table: redrawn in place on a terminal, as lines now and then elsewhere."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import TextIO

from gateway.demo.status import Status
from gateway.demo.table import table

REDRAW_S = 0.5
REPEAT_S = 5.0

_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
_HOME, _CLEAR, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[2J", "\x1b[K", "\x1b[J"
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"
_PLAIN_WIDTH = 160


def no_lines(_width: int) -> list[str]:
    """Stand in for what nobody gave."""
    return []


class Screen:
    """Where a person watches the demo.

    Args:
        stream: A terminal, or any text stream.

    Attributes:
        interval_s: Time between two looks at the gateway.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._drawn = False
        self.interval_s = REDRAW_S if self._live else REPEAT_S

    def show(self, status: Status, headline: str, below: Callable[[int], list[str]] = no_lines) -> None:
        """Draw the table under a headline.

        Args:
            status: The gateway's.
            headline: First line.
            below: Returns what stands under the table, for a width in letters.
        """
        if not self._live:
            lines = [headline, *table(status, _PLAIN_WIDTH), *below(_PLAIN_WIDTH)]
            self._write("\n".join(lines) + "\n\n")
            return
        size = shutil.get_terminal_size()
        head, *rows = table(status, size.columns)
        lines = [headline[: size.columns], "", f"{_BOLD}{head}{_PLAIN}", *rows, *below(size.columns)]
        lines += ["", "Ctrl-C ends the demo."]
        start = _HOME if self._drawn else _HIDE_CURSOR + _CLEAR + _HOME
        self._drawn = True
        shown = lines[: max(1, size.lines - 1)]
        self._write(start + "".join(f"{line}{_CLEAR_LINE}\n" for line in shown) + _CLEAR_BELOW)

    def close(self) -> None:
        """Give the terminal back as it was."""
        if self._drawn:
            self._write(_SHOW_CURSOR)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
