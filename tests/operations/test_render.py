"""Whatever a field holds, an event is one printable line that says it."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.configuration.secret import Secret
from gateway.errors import WrongShape
from gateway.operations.events import Level
from gateway.operations.render import MAX_ITEMS, MAX_TEXT, Record, as_json, as_words, syslog_prefix


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.builds(Unprintable)
    | st.text(alphabet="\ud800\x1b\n\r\x00\u2028\u202e\"'= ")
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner), max_leaves=12
)
FIELDS = st.dictionaries(st.text(min_size=1).map(lambda name: f"field-{name}"), VALUES, max_size=4)


def record(**fields: object) -> Record:
    return Record(1_790_000_000.25, Level.WARNING, "sensor_lost", fields)


@given(fields=FIELDS)
def test_any_fields_make_one_line_of_json(fields: dict[str, Any]) -> None:
    line = as_json(Record(0.0, Level.INFO, "x", fields))
    assert line.isascii()
    assert line.isprintable()
    said = json.loads(line, parse_constant=pytest.fail)
    assert said["event"] == "x"
    assert {key for key, value in fields.items() if value is not None} <= set(said)


@given(fields=FIELDS)
def test_any_values_make_one_line_for_people_without_control_characters(fields: dict[str, Any]) -> None:
    line = as_words(Record(0.0, Level.INFO, "x", {"name": list(fields.values())}))
    assert line.isprintable()


def test_a_line_says_when_how_bad_and_what() -> None:
    assert json.loads(as_json(record(sensor="cam1", age_s=1.5))) == {
        "time": "2026-09-21T14:13:20.250Z",
        "level": "warning",
        "event": "sensor_lost",
        "sensor": "cam1",
        "age_s": 1.5,
    }
    assert as_words(record(sensor="the cam", n=3)) == '14:13:20.250 WARNING sensor_lost sensor="the cam" n=3'


def test_a_typed_error_is_said_by_label_message_and_facts() -> None:
    error = WrongShape("wants 3 axes", step="resize", rows=2)
    assert json.loads(as_json(record(error=error)))["error"] == {
        "label": "refused.shape",
        "message": "wants 3 axes",
        "attributes": {"step": "resize", "rows": 2},
    }
    assert as_words(record(error=error)).endswith('error="refused.shape: wants 3 axes"')


def test_an_unexpected_error_is_said_with_the_place_where_it_was_raised() -> None:
    with pytest.raises(ValueError, match=r"math domain|nonnegative") as caught:
        math.sqrt(-1)
    said = json.loads(as_json(record(error=caught.value)))["error"]
    assert said["label"] == "ValueError"
    assert "test_an_unexpected_error" in said["trace"]


def test_a_secret_is_not_written_however_deep_it_lies() -> None:
    secret = Secret("hunter2")
    line = as_json(record(a=secret, b=[secret, {"c": secret}], d=(((((secret,),),),),)))
    assert "hunter2" not in line


def test_long_values_are_cut() -> None:
    said = json.loads(as_json(record(text="x" * 100_000, items=list(range(1000)))))
    assert len(said["text"]) == MAX_TEXT
    assert len(said["items"]) == MAX_ITEMS


def test_held_back_repeats_are_counted_in_the_line() -> None:
    assert json.loads(as_json(Record(0.0, Level.INFO, "x", {}, suppressed=7)))["suppressed"] == 7


def test_numbers_that_json_readers_would_change_are_written_as_text() -> None:
    said = json.loads(as_json(record(big=2**60, nan=math.nan, ok=2**53)))
    assert (said["big"], said["nan"], said["ok"]) == (hex(2**60), "nan", 2**53)


def test_journald_is_told_the_severity_by_number() -> None:
    assert [syslog_prefix(level) for level in Level] == ["<7>", "<6>", "<4>", "<3>"]
