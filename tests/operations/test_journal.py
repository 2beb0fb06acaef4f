"""Entries reach a listening journald whatever their size, and it is known of each whether they did."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.operations.journal import Journal
from gateway.operations.journal_entry import Entry
from tests.operations.journald import Journald

LARGE = 1 << 20


@pytest.fixture
def journal(journald: Journald) -> Iterator[Journal]:
    journal = Journal(str(journald.path))
    yield journal
    journal.close()


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def entry(text: str) -> Entry:
    return Entry((("MESSAGE", text), ("PRIORITY", "6")), 6, "{}")


@pytest.mark.parametrize("text", ["plain", "two\nlines", "a=b", "", "x" * 100_000])
def test_an_entry_arrives_as_it_was_sent(journald: Journald, journal: Journal, text: str) -> None:
    assert journal.send(entry(text))
    assert journald.next() == {"MESSAGE": text.encode(), "PRIORITY": b"6"}
    assert journald.sealed == 0


def test_an_entry_that_no_datagram_holds_arrives_as_a_sealed_file(
    journald: Journald, journal: Journal
) -> None:
    before = open_files()
    assert journal.send(entry("x" * LARGE + "\n"))
    assert journald.next()["MESSAGE"] == b"x" * LARGE + b"\n"
    assert journald.sealed == 1
    assert open_files() == before + 1  # the way to journald alone stays open


@pytest.mark.parametrize("remove", [True, False])
@pytest.mark.parametrize("size", [1, LARGE])
def test_an_entry_that_nobody_takes_is_reported_and_the_next_one_is_taken(
    journald: Journald, journal: Journal, remove: bool, size: int
) -> None:
    assert journal.send(entry("one"))
    journald.close(remove=remove)
    assert not journal.send(entry("x" * size))
    journald.path.unlink(missing_ok=True)
    again = Journald(journald.path)
    try:
        assert journal.send(entry("three"))
        assert again.next()["MESSAGE"] == b"three"
        assert again.is_empty()
    finally:
        again.close()


def test_a_journald_that_hangs_is_reported_and_one_that_is_behind_is_waited_for(journald: Journald) -> None:
    impatient, patient = Journal(str(journald.path), 0.05), Journal(str(journald.path), 60.0)
    sent = 0
    while impatient.send(entry(str(sent))):
        sent += 1
    assert sent > 0
    results: list[bool] = []
    waiting = threading.Thread(target=lambda: results.append(patient.send(entry("late"))))
    waiting.start()
    said = [journald.next()["MESSAGE"] for _ in range(sent + 1)]
    waiting.join()
    assert said == [*(str(number).encode() for number in range(sent)), b"late"]
    assert results == [True]
    impatient.close()
    patient.close()
