"""Carries what libraries log, and Python's warnings, into the gateway's own log."""

from __future__ import annotations

import logging

from gateway.operations.events import Level
from gateway.operations.log import Log


class LibraryMessages(logging.Handler):
    """A handler of the standard library's logging that ends in ``library_message`` events."""

    def __init__(self, target: Log) -> None:
        super().__init__(logging.WARNING)
        self._target = target

    def emit(self, record: logging.LogRecord) -> None:
        """Log one message; one that does not fit its own format is logged as it stands."""
        try:
            text = record.getMessage()
        except Exception:  # noqa: BLE001 - arguments of foreign code may raise anything while formatted
            text = str(record.msg)
        level = Level.ERROR if record.levelno >= logging.ERROR else Level.WARNING
        error = record.exc_info[1] if record.exc_info is not None else None
        self._target.library(record.name, level, text, error)


def capture(target: Log) -> None:
    """Send messages of at least a warning's weight to ``target``, and nowhere else."""
    root = logging.getLogger()
    root.handlers[:] = [LibraryMessages(target)]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
