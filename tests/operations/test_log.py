"""The log writes listed events to its descriptor, holds repeats back, and stalls nobody."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from gateway.configuration.settings import LogSettings
from gateway.operations import libraries
from gateway.operations.events import Level
from gateway.operations.journal import Journal
from gateway.operations.log import Log
from gateway.operations.writer import MAX_LINES, LineWriter, write_all
from tests.operations.journald import Journald


class Pipe:
    """A log that writes into a pipe, and the other end of it."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        self.log = Log(self.writing)

    def lines(self) -> list[dict[str, Any]]:
        """Close the writing end and return everything that was written."""
        os.close(self.writing)
        self.writing = -1
        with os.fdopen(self.reading, encoding="utf-8") as stream:
            self.reading = -1
            return [json.loads(line) for line in stream]

    def close(self) -> None:
        for fd in (self.reading, self.writing):
            if fd >= 0:
                os.close(fd)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    pipe.log.configure(LogSettings(format="json", interval_s=60.0))
    yield pipe
    pipe.log.close()
    pipe.close()


def test_an_event_is_one_json_line(pipe: Pipe) -> None:
    pipe.log.event("starting", version="1.0", pid=7, config="x.yaml")
    (line,) = pipe.lines()
    del line["time"]
    assert line == {"level": "info", "event": "starting", "version": "1.0", "pid": 7, "config": "x.yaml"}


def test_an_event_that_nobody_listed_is_written_as_unlisted_and_raises_nothing(pipe: Pipe) -> None:
    pipe.log.event("no_such_event", sensor="cam1")
    (line,) = pipe.lines()
    assert (line["event"], line["name"], line["fields"]) == ("unlisted", "no_such_event", {"sensor": "cam1"})


def test_events_below_the_level_are_not_written(pipe: Pipe) -> None:
    pipe.log.configure(LogSettings(level="error", format="json"))
    pipe.log.event("starting")
    pipe.log.event("http_failed", path="/status")
    assert [line["event"] for line in pipe.lines()] == ["http_failed"]
    assert not pipe.log.enabled(Level.WARNING)


def test_the_level_is_changed_while_running_until_it_is_configured_again(pipe: Pipe) -> None:
    pipe.log.set_level(Level.ERROR)
    pipe.log.event("starting", version="1.0", pid=7, config="x.yaml")
    assert (pipe.log.level, pipe.log.enabled(Level.WARNING)) == (Level.ERROR, False)
    pipe.log.configure(LogSettings(format="json"))
    assert pipe.log.level is Level.INFO
    pipe.log.event("starting", version="2.0", pid=7, config="x.yaml")
    assert [line["version"] for line in pipe.lines()] == ["2.0"]


def test_repeats_of_one_subject_are_written_once_and_counted_at_the_end(pipe: Pipe) -> None:
    for _ in range(5):
        pipe.log.event("http_failed", path="/status")
        pipe.log.event("http_failed", path="/metrics")
    pipe.log.close()
    lines = pipe.lines()
    assert [line["event"] for line in lines] == ["http_failed", "http_failed", "repeated", "repeated"]
    assert [line["count"] for line in lines[2:]] == [4, 4]
    assert lines[2]["subject"] == {"path": "/status"}
    assert lines[2]["level"] == "error"


def test_lifecycle_events_are_never_held_back(pipe: Pipe) -> None:
    for _ in range(3):
        pipe.log.event("config_reloaded", file="x.yaml")
    assert len(pipe.lines()) == 3


def test_the_thread_reports_a_count_when_its_interval_ends_though_nothing_more_is_logged(pipe: Pipe) -> None:
    pipe.log.configure(LogSettings(format="json", interval_s=1.0))
    pipe.log.start()
    pipe.log.event("http_failed", path="/status")
    pipe.log.event("http_failed", path="/status")
    with os.fdopen(os.dup(pipe.reading), encoding="utf-8") as stream:
        events = [json.loads(stream.readline())["event"] for _ in range(2)]
    assert events == ["http_failed", "repeated"]


def test_a_stalled_reader_stalls_no_caller_and_every_line_is_written_or_counted(pipe: Pipe) -> None:
    pipe.log.start()
    # One chunk may be with the thread and one in the queue: a third cannot fit.
    total = 3 * MAX_LINES
    for _ in range(total):
        pipe.log.event("config_reloaded", file="x" * 100)
    written = lost = 0
    with os.fdopen(os.dup(pipe.reading), encoding="utf-8") as stream:
        while written + lost < total:
            line = json.loads(stream.readline())
            written += line["event"] == "config_reloaded"
            lost += line["count"] if line["event"] == "log_lines_lost" else 0
    assert lost >= MAX_LINES
    assert written + lost == total


def test_lines_go_out_at_once_before_start_and_after_close(pipe: Pipe) -> None:
    pipe.log.event("starting", pid=1)
    pipe.log.start()
    pipe.log.event("ready")
    pipe.log.close()
    pipe.log.event("stopped")
    assert [line["event"] for line in pipe.lines()] == ["starting", "ready", "stopped"]


def test_the_journal_is_recognised_by_device_and_inode(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = os.fstat(pipe.writing)
    monkeypatch.setenv("JOURNAL_STREAM", f"{stat.st_dev}:{stat.st_ino}")
    pipe.log.configure(LogSettings(format="json"))
    pipe.log.event("starting")
    assert os.read(pipe.reading, 100).startswith(b'<6>{"time"')


@pytest.mark.parametrize("stream", ["", "1:2", "x:y", "1:2:3"])
def test_another_journal_stream_changes_nothing(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch, stream: str
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", stream)
    pipe.log.configure(LogSettings(format="json"))
    pipe.log.event("starting")
    assert os.read(pipe.reading, 100).startswith(b'{"time"')


@pytest.fixture
def under_systemd(pipe: Pipe, journald: Journald, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipe]:
    """Connect the log to both as systemd does."""
    stat = os.fstat(pipe.writing)
    monkeypatch.setenv("JOURNAL_STREAM", f"{stat.st_dev}:{stat.st_ino}")
    journal = Journal(str(journald.path), 60.0)
    pipe.log = Log(pipe.writing, journal)
    pipe.log.configure(LogSettings(interval_s=60.0))
    yield pipe
    pipe.log.close()
    journal.close()


@pytest.mark.parametrize("threaded", [False, True])
def test_the_journal_gets_entries_with_fields_and_standard_error_nothing(
    under_systemd: Pipe, journald: Journald, threaded: bool
) -> None:
    if threaded:
        under_systemd.log.start()
    under_systemd.log.event("starting", version="1.0", pid=7, config="x.yaml")
    entry = journald.next()
    said = json.loads(entry.pop("GATEWAY_JSON"))
    assert (said["event"], said["level"], said["pid"]) == ("starting", "info", 7)
    assert entry == {
        "MESSAGE": b"starting version=1.0 pid=7 config=x.yaml",
        "PRIORITY": b"6",
        "SYSLOG_IDENTIFIER": b"gateway",
        "GATEWAY_EVENT": b"starting",
        "GATEWAY_VERSION": b"1.0",
        "GATEWAY_PID": b"7",
        "GATEWAY_CONFIG": b"x.yaml",
    }
    under_systemd.log.close()
    assert under_systemd.lines() == []


def test_while_journald_is_away_marked_lines_go_to_standard_error(
    under_systemd: Pipe, journald: Journald
) -> None:
    under_systemd.log.start()
    under_systemd.log.event("config_reloaded", file="1")
    assert journald.next()["GATEWAY_FILE"] == b"1"
    journald.close()
    with os.fdopen(os.dup(under_systemd.reading), encoding="utf-8") as stream:
        under_systemd.log.event("config_reloaded", file="2")
        line = stream.readline()
        assert line.startswith("<6>{")
        assert json.loads(line[3:])["file"] == "2"
        again = Journald(journald.path)
        under_systemd.log.event("config_reloaded", file="3")
        assert again.next()["GATEWAY_FILE"] == b"3"
        again.close()


def test_a_journald_that_hangs_stalls_no_caller_and_every_entry_is_taken_or_counted(
    under_systemd: Pipe, journald: Journald
) -> None:
    log = under_systemd.log
    log.start()
    total = 3 * MAX_LINES
    for _ in range(total):
        log.event("config_reloaded", file="x" * 100)
    taken = lost = 0
    while taken + lost < total:
        entry = journald.next()
        taken += entry["GATEWAY_EVENT"] == b"config_reloaded"
        lost += int(entry.get("GATEWAY_COUNT", b"0"))
    assert lost > 0
    assert taken + lost == total
    assert journald.is_empty()


def test_the_journal_is_written_to_when_it_is_asked_for_without_systemd(
    pipe: Pipe, journald: Journald
) -> None:
    journal = Journal(str(journald.path))
    log = Log(pipe.writing, journal)
    log.configure(LogSettings(format="journal"))
    log.event("starting", pid=1)
    assert journald.next()["GATEWAY_PID"] == b"1"
    journal.close()


def test_auto_writes_words_to_a_terminal() -> None:
    master, terminal = os.openpty()
    try:
        log = Log(terminal)
        log.configure(LogSettings())
        log.event("starting", version="1.0")
        assert os.read(master, 1000).rstrip().endswith(b"INFO    starting version=1.0")
    finally:
        os.close(master)
        os.close(terminal)


def test_a_closed_descriptor_costs_the_line_and_nothing_else() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    log = Log(writing)
    log.event("starting")
    os.close(writing)
    log.event("starting")


def test_messages_and_warnings_of_libraries_become_events(pipe: Pipe) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    libraries.capture(pipe.log)
    try:
        logging.getLogger("paho").warning("odd %s", "thing")
        logging.getLogger("paho").info("not interesting")
        logging.getLogger("asyncio").error("no %d number", "such")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("old", DeprecationWarning, stacklevel=1)
    finally:
        logging.captureWarnings(capture=False)
        root.handlers[:] = before
        root.setLevel(level)
    lines = pipe.lines()
    assert [(line["logger"], line["level"]) for line in lines] == [
        ("paho", "warning"),
        ("asyncio", "error"),
        ("py.warnings", "warning"),
    ]
    assert [line["text"] for line in lines[:2]] == ["odd thing", "no %d number"]


def write_lines(fd: int, lines: list[bytes]) -> None:
    write_all(fd, b"".join(lines))


def test_what_comes_after_the_end_of_the_writer_is_not_written() -> None:
    reading, writing = os.pipe()
    writer = LineWriter(partial(write_lines, writing), lambda lost: b"%d lost\n" % lost, lambda: None)
    writer.start()
    writer.put(b"one\n")
    writer.close(10.0)
    writer.put(b"two\n")
    os.close(writing)
    assert os.read(reading, 100) == b"one\n"
    os.close(reading)
