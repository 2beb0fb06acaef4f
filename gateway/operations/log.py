"""The log: one line per event of the closed list, on standard error or in the journal.

``log.event("sensor_online", sensor=...)`` may be called from any thread, never
raises, and, once ``start()`` has been called, never waits for the reader of
standard error or for journald. Until ``configure()`` it writes words at level
info, which is what a command-line tool wants.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final

from gateway.configuration.settings import LogSettings
from gateway.operations.events import EVENTS, EventKind, Level
from gateway.operations.journal import Journal
from gateway.operations.journal_entry import Entry, journal_entry
from gateway.operations.render import Record, as_json, as_words, plain, syslog_prefix
from gateway.operations.throttle import Held, Throttle
from gateway.operations.tracing import current_span
from gateway.operations.writer import LineWriter, write_all

CLOSE_TIMEOUT_S: Final = 0.5

_UNLISTED: Final = EVENTS["unlisted"]


Line = bytes | Entry


class _Look(Enum):
    """How events look."""

    WORDS = auto()
    JSON = auto()
    ENTRIES = auto()
    """Entries of the journal; marked JSON on standard error while journald is away."""


@dataclass(frozen=True, slots=True)
class _Form:
    """What is written.

    Attributes:
        look: How events look.
        marked: Lines begin with journald's mark of severity.
        level: Least severity written.
    """

    look: _Look
    marked: bool
    level: Level


class Log:
    """Renders events, holds repeats back, and writes lines."""

    def __init__(self, fd: int = 2, journal: Journal | None = None) -> None:
        self._fd = fd
        self._journal = journal
        self._form = _Form(_Look.WORDS, marked=False, level=Level.INFO)
        self._lock = threading.Lock()
        self._throttle = Throttle(LogSettings().interval_s)
        self._writer: LineWriter[Line] | None = None

    def configure(self, settings: LogSettings) -> None:
        """Take over level, form and interval; counts of repeats begin anew."""
        marked = _is_journal(self._fd, os.environ.get("JOURNAL_STREAM", ""))
        look = _look(settings.format, journal=marked, terminal=os.isatty(self._fd))
        if look is _Look.ENTRIES and self._journal is None:
            self._journal = Journal()
        with self._lock:
            self._form = _Form(look, marked, Level[settings.level.upper()])
            held, self._throttle = self._throttle.drain(), Throttle(settings.interval_s)
        self._report(held)

    def start(self) -> None:
        """Write from a thread from now on; ``close()`` ends it."""
        if self._writer is None:
            self._writer = LineWriter(self._out, self._lost_line, self._idle)
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
            fields: Fields of its kind; ``error=`` takes an exception, ``trace_id=`` a string: that of the
                request that is answered now, unless it is said.
        """
        kind = EVENTS.get(name)
        if kind is None:
            name, kind, fields = "unlisted", _UNLISTED, {"name": name, "fields": fields}
        self._log(name, kind, kind.level, fields)

    def enabled(self, level: Level) -> bool:
        """Say whether events of this severity are written: spares building costly fields."""
        return level >= self._form.level

    @property
    def level(self) -> Level:
        """Least severity that is written."""
        return self._form.level

    def set_level(self, level: Level) -> None:
        """Write this severity and above from now on, until ``configure()`` is called again."""
        with self._lock:
            self._form = replace(self._form, level=level)

    def library(self, logger: str, level: Level, text: str, error: BaseException | None = None) -> None:
        """Log what a library said, under the severity that it gave."""
        fields: dict[str, object] = {"logger": logger, "text": text, "error": error}
        self._log("library_message", EVENTS["library_message"], level, fields)

    def _log(self, name: str, kind: EventKind, level: Level, fields: dict[str, object]) -> None:
        if level < self._form.level:
            return
        span = current_span()
        if span is not None and not span.is_over:
            fields.setdefault("trace_id", span.own.trace_id)
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
        line = self._line(record)
        writer = self._writer
        if writer is None:
            self._out([line])
        else:
            writer.put(line)

    def _line(self, record: Record) -> Line:
        form = self._form
        if form.look is _Look.ENTRIES:
            return journal_entry(record)
        text = as_words(record) if form.look is _Look.WORDS else as_json(record)
        mark = syslog_prefix(record.level) if form.marked else ""
        return f"{mark}{text}\n".encode("utf-8", "backslashreplace")

    def _out(self, lines: Sequence[Line]) -> None:
        """Write lines in their order; what journald does not take goes to standard error."""
        waiting: list[bytes] = []
        for line in lines:
            if isinstance(line, bytes):
                waiting.append(line)
            elif self._journal is None or not self._journal.send(line):
                waiting.append(line.line())
        write_all(self._fd, b"".join(waiting))

    def _lost_line(self, count: int) -> Line:
        return self._line(Record(time.time(), Level.WARNING, "log_lines_lost", {"count": count}))

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


def _look(wanted: str, *, journal: bool, terminal: bool) -> _Look:
    """Return the look that the settings ask for, on a descriptor of this kind."""
    if wanted == "journal" or (wanted == "auto" and journal):
        return _Look.ENTRIES
    return _Look.WORDS if wanted == "human" or (wanted == "auto" and terminal) else _Look.JSON


def _is_journal(fd: int, journal_stream: str) -> bool:
    """Say whether ``fd`` is the very stream that systemd connected to its journal."""
    try:
        device, inode = journal_stream.split(":")
        stat = os.fstat(fd)
        return (stat.st_dev, stat.st_ino) == (int(device), int(inode))
    except (ValueError, OSError):
        return False


log: Final = Log(sys.__stderr__.fileno() if sys.__stderr__ is not None else 2)
