"""Entries of the journal: whatever an event holds, journald reads exactly what was meant."""

from __future__ import annotations

import json
import re

from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import WrongShape
from gateway.operations.events import COMMON_FIELDS, EVENTS, Level
from gateway.operations.journal_entry import Entry, field_name, journal_entry
from gateway.operations.render import Record
from tests.operations.journald import decoded
from tests.operations.test_render import FIELDS

NAMES = st.from_regex(r"[A-Z][A-Z0-9_]{0,20}", fullmatch=True)
TEXTS = st.text() | st.text(alphabet="\n=\0A")


@given(st.lists(st.tuples(NAMES, TEXTS), max_size=8))
def test_what_is_read_is_what_was_meant(fields: list[tuple[str, str]]) -> None:
    entry = Entry(tuple(fields), 6, "{}")
    assert decoded(entry.datagram()) == [(name, value.encode()) for name, value in fields]


@given(fields=FIELDS, level=st.sampled_from(Level), suppressed=st.integers(0, 5))
def test_any_event_becomes_an_entry_that_journald_takes(
    fields: dict[str, object], level: Level, suppressed: int
) -> None:
    entry = journal_entry(Record(1.0, level, "some_event", fields, suppressed))
    said = decoded(entry.datagram())
    for name, _ in said:
        # What journald checks of names; others it drops without a word.
        assert re.fullmatch(r"[A-Z][A-Z0-9_]{0,63}", name)
    once = dict(said)
    for name in ("MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "GATEWAY_EVENT", "GATEWAY_JSON"):
        assert sum(1 for each, _ in said if each == name) == 1
    assert b"\n" not in once["MESSAGE"] + once["GATEWAY_JSON"]
    assert json.loads(once["GATEWAY_JSON"])["event"] == "some_event"
    assert entry.line() == b"<%b>%b\n" % (once["PRIORITY"], once["GATEWAY_JSON"])


def test_fields_are_named_as_operators_look_for_them() -> None:
    fields: dict[str, object] = {
        "model": "motion",
        "after_s": 0.25,
        "handed_over": True,
        "reason": None,
        "models": ["a", "b"],
        "trace_id": "ab12",
        "text": "two\nlines",
        "error": WrongShape("4 values are no image", values=4),
        "subject": {"path": "/x"},
    }
    entry = journal_entry(Record(0.0, Level.WARNING, "engine_chosen", fields, 3))
    assert decoded(entry.datagram())[:-1] == [
        ("MESSAGE", entry.fields[0][1].encode()),
        ("PRIORITY", b"4"),
        ("SYSLOG_IDENTIFIER", b"gateway"),
        ("GATEWAY_EVENT", b"engine_chosen"),
        ("GATEWAY_MODEL", b"motion"),
        ("GATEWAY_AFTER_S", b"0.25"),
        ("GATEWAY_HANDED_OVER", b"true"),
        ("GATEWAY_MODELS", b"a"),
        ("GATEWAY_MODELS", b"b"),
        ("TRACE_ID", b"ab12"),
        ("GATEWAY_TEXT", b"two\nlines"),
        ("GATEWAY_ERROR", b"4 values are no image"),
        ("GATEWAY_ERROR_LABEL", b"refused.shape"),
        ("GATEWAY_SUPPRESSED", b"3"),
    ]
    assert entry.fields[0][1].startswith("engine_chosen model=motion after_s=0.25 handed_over=true models=")
    assert 'text="two\\nlines"' in entry.fields[0][1]


def test_no_listed_field_hides_behind_another_name() -> None:
    for name, kind in EVENTS.items():
        names = [field_name(field) for field in (*kind.fields, *COMMON_FIELDS)]
        assert len({*names, "GATEWAY_EVENT", "GATEWAY_JSON", "GATEWAY_ERROR_LABEL"}) == len(names) + 3, name
