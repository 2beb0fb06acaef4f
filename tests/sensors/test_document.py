"""Outside bytes to checked values."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import MalformedAnnouncement
from gateway.sensors import document


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b"\xff\xfe",
        b'\xef\xbb\xbf{"v": 1}',
        b'{"a":' * 20_000,
        b"[" * 100_000,
        b'{"a": 1' + b"0" * 5000 + b"}",
    ],
)
def test_what_is_no_json_object_is_malformed(payload: bytes) -> None:
    with pytest.raises(MalformedAnnouncement):
        document.read_object(payload)


def test_half_a_surrogate_pair_is_no_text() -> None:
    found = document.read_object(b'{"name": "\\ud83d", "whole": "\\ud83d\\ude00"}')
    with pytest.raises(MalformedAnnouncement, match="surrogate"):
        document.text(found, "name")
    assert document.text(found, "whole") == "\N{GRINNING FACE}"


def test_words_for_people_lose_control_characters_and_excess() -> None:
    assert document.words({"name": "Door\x1b[31m\n\u202ecam "}, "name") == "Door[31mcam"
    assert len(document.words({"name": "x" * 1000}, "name")) == document.MAX_TEXT
    with pytest.raises(MalformedAnnouncement):
        document.words({"name": "x" * 2000}, "name")


@pytest.mark.parametrize("value", [True, "1", 1.5, -1, 2**64, None, [], float("inf")])
def test_a_whole_number_is_nothing_else(value: object) -> None:
    with pytest.raises(MalformedAnnouncement):
        document.integer({"epoch": value}, "epoch")


@pytest.mark.parametrize("value", [True, "1", -0.5, 1e300, float("nan"), float("inf"), 10**400, None])
def test_a_number_is_finite_and_in_range(value: object) -> None:
    with pytest.raises(MalformedAnnouncement):
        document.number({"rate_hz": value}, "rate_hz")


def test_whole_floats_count_as_whole_numbers() -> None:
    assert document.integer({"epoch": 3.0}, "epoch") == 3


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_malformed(payload: bytes) -> None:
    with contextlib.suppress(MalformedAnnouncement):
        assert isinstance(document.read_object(payload), dict)
