"""The log: one line per event of the closed list, on standard error.

``log.event("sensor_online", sensor=...)`` may be called from any thread, never
raises, and, once ``start()`` has been called, never waits for the reader of
standard error. Until ``configure()`` it writes words at level info, which is
what a command-line tool wants.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from dataclasses import dataclass
from typing import Final

from gateway.configuration.settings import LogSettings
from gateway.operations.events import EVENTS, EventKind, Level
from gateway.operations.render import Record, as_json, as_words, plain, syslog_prefix
from gateway.operations.throttle import Held, Throttle
from gateway.operations.writer import LineWriter, write_all

CLOSE_TIMEOUT_S: Final = 0.5

_UNLISTED: Final = EVENTS["unlisted"]


@dataclass(frozen=True, slots=True)
class _Form:
    """How lines look.

    Attributes:
        json: JSON objects, not words.
        journal: Lines begin with journald's mark of severity.
        level: Least severity written.
    """

    json: bool
    journal: bool
    level: Level


class Log:
    """Renders events, holds repeats back, and writes lines."""

    def __init__(self, fd: int = 2) -> None:
        self._fd = fd
        self._form = _Form(json=False, journal=False, level=Level.INFO)
        self._lock = threading.Lock()
        self._throttle = Throttle(LogSettings().interval_s)
        self._writer: LineWriter | None = None

    def configure(self, settings: LogSettings) -> None:
        """Take over level, form and interval; counts of repeats begin anew."""
        human = settings.format == "human" or (settings.format == "auto" and os.isatty(self._fd))
        with self._lock:
            self._form = _Form(
                json=not human,
                journal=_is_journal(self._fd, os.environ.get("JOURNAL_STREAM", "")),
                level=Level[settings.level.upper()],
            )
            held, self._throttle = self._throttle.drain(), Throttle(settings.interval_s)
        self._report(held)

    def start(self) -> None:
        """Write from a thread from now on; ``close()`` ends it."""
        if self._writer is None:
            self._writer = LineWriter(self._fd, self._lost_line, self._idle)
            self._writer.start()

    def close(self) -> None:
        """Write every line and count still waiting (within half a second); later lines go out at once."""
        with self._lock:
            held = self._throttle.drain()
        self._report(held)
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close(CLOSE_TIMEOUT_S)

    def event(self, name: str, /, **fields: object) -> None:
        """Log one event of the closed list.

        Args:
            name: A key of ``EVENTS``.
            fields: Fields of its kind; ``error=`` takes an exception, ``trace_id=`` a string.
        """
        kind = EVENTS.get(name)
        if kind is None:
            name, kind, fields = "unlisted", _UNLISTED, {"name": name, "fields": fields}
        self._log(name, kind, kind.level, fields)

    def enabled(self, level: Level) -> bool:
        """Say whether events of this severity are written: spares building costly fields."""
        return level >= self._form.level

    def library(self, logger: str, level: Level, text: str, error: BaseException | None = None) -> None:
        """Log what a library said, under the severity that it gave."""
        fields: dict[str, object] = {"logger": logger, "text": text, "error": error}
        self._log("library_message", EVENTS["library_message"], level, fields)

    def _log(self, name: str, kind: EventKind, level: Level, fields: dict[str, object]) -> None:
        if level < self._form.level:
            return
        suppressed = self._admit(name, kind.subject, fields) if kind.subject is not None else 0
        if suppressed is not None:
            self._write(Record(time.time(), level, name, fields, suppressed))

    def _admit(self, name: str, subject: tuple[str, ...], fields: dict[str, object]) -> int | None:
        key = (name, *(str(plain(fields.get(field))) for field in subject))
        with self._lock:
            was_holding = self._throttle.holding
            suppressed = self._throttle.admit(key, time.monotonic())
        if suppressed is None and not was_holding and self._writer is not None:
            self._writer.nudge()
        return suppressed

    def _write(self, record: Record) -> None:
        encoded = self._encode(record)
        writer = self._writer
        if writer is None:
            write_all(self._fd, encoded)
        else:
            writer.put(encoded)

    def _encode(self, record: Record) -> bytes:
        form = self._form
        line = as_json(record) if form.json else as_words(record)
        prefix = syslog_prefix(record.level) if form.journal else ""
        return f"{prefix}{line}\n".encode("utf-8", "backslashreplace")

    def _lost_line(self, count: int) -> bytes:
        return self._encode(Record(time.time(), Level.WARNING, "log_lines_lost", {"count": count}))

    def _idle(self) -> float | None:
        """Report counts that are due; runs on the writer's thread."""
        with self._lock:
            held = self._throttle.due(time.monotonic())
            wakeup_s = self._throttle.next_wakeup_s()
        self._report(held)
        return None if wakeup_s is None else max(0.0, wakeup_s - time.monotonic())

    def _report(self, held: tuple[Held, ...]) -> None:
        for item in held:
            kind = EVENTS.get(item.key[0], _UNLISTED)
            subject = dict(zip(kind.subject or (), item.key[1:], strict=False))
            fields = {"of": item.key[0], "subject": subject, "count": item.count}
            self._write(Record(time.time(), kind.level, "repeated", fields))


def _is_journal(fd: int, journal_stream: str) -> bool:
    """Say whether ``fd`` is the very stream that systemd connected to its journal."""
    try:
        device, inode = journal_stream.split(":")
        stat = os.fstat(fd)
        return (stat.st_dev, stat.st_ino) == (int(device), int(inode))
    except (ValueError, OSError):
        return False


log: Final = Log(sys.__stderr__.fileno() if sys.__stderr__ is not None else 2)
