"""Reports: written, read, forgiven what is new, refused what is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Malformed
from gateway.updates.reported import (
    MOST_REPORTED_BYTES,
    Active,
    Candidate,
    LastError,
    Reported,
    ReportedModel,
    read_reported,
    reported_bytes,
)
from tests.updates.strategies import REPORTS
from tests.updates.test_manifest import VALUES

REPORT = Reported(
    "cam-1",
    "yard",
    models={
        "door": ReportedModel(
            "baking",
            Active(7, mapped={"12": "ab"}),
            6,
            Candidate(7, "baking"),
            6,
            LastError("update.bake"),
            (5,),
        )
    },
)


@given(REPORTS)
def test_a_report_reads_back_as_it_was_written(report: Reported) -> None:
    assert read_reported(reported_bytes(report)) == report


@given(st.binary(max_size=100))
def test_any_bytes_give_a_report_or_one_error(data: bytes) -> None:
    with pytest.raises(Malformed):
        read_reported(data)


@given(REPORTS, st.data())
def test_a_damaged_report_gives_a_report_or_one_error(report: Reported, data: st.DataObject) -> None:
    held = bytearray(reported_bytes(report))
    for _ in range(data.draw(st.integers(1, 4))):
        held[data.draw(st.integers(0, len(held) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read_reported(bytes(held))
    except Malformed as error:
        assert len(error.message) < 600
        return
    assert read_reported(reported_bytes(found)) == found


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value of a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inner for place in places(each, (*path, key)))]


PLACES = [place for place in places(json.loads(reported_bytes(REPORT))) if place]


@given(st.sampled_from(PLACES), VALUES)
def test_any_value_in_any_place_gives_a_report_or_one_error(place: tuple[Any, ...], value: object) -> None:
    document = json.loads(reported_bytes(REPORT))
    at = document
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    try:
        found = read_reported(json.dumps(document).encode())
    except Malformed:
        return
    assert read_reported(reported_bytes(found)) == found


def test_what_a_newer_board_adds_is_passed_over_and_what_an_older_one_lacks_has_a_default() -> None:
    data = (
        b'{"schema": 1, "device": "a", "colour": [1], "models": {"m": {"spin": 3, "active": {"release": 2}}}}'
    )
    report = read_reported(data)
    assert report == Reported("a", models={"m": ReportedModel(active=Active(2))})


@pytest.mark.parametrize(
    "data",
    [
        b'{"schema": 2, "device": "a"}',
        b'{"device": "a"}',
        b'{"schema": 1}',
        b'{"schema": 1, "device": "a", "models": []}',
        b'{"schema": 1, "device": "a", "models": {"m": {"floor": -1}}}',
        b'{"schema": 1, "device": "a", "models": {"m": {"floor": true}}}',
        b'{"schema": 1, "device": "a", "models": {"m": {"active": {"answering": 1}}}}',
        b'{"schema": 1, "device": "a", "models": {"m": {"candidate": {"percent": NaN}}}}',
        b"[" * 100_000,
        b" " * (MOST_REPORTED_BYTES + 1),
    ],
)
def test_what_is_wrong_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        read_reported(data)


def test_text_from_a_board_cannot_move_the_cursor() -> None:
    data = rb'{"schema": 1, "device": "a", "models": {"m": {"last_error": {"detail": "x\u001b[2Jy\nz"}}}}'
    error = read_reported(data).models["m"].last_error
    assert error is not None
    assert error.detail == "x [2Jy z"
