"""Numbers out of messages that need a template or a table of words."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Malformed, NotFinite, RequestRefused, TooLarge
from gateway.sensors.reading import MAX_MESSAGE_BYTES, number_of
from gateway.sensors.sensor import Reading
from gateway.sensors.template import parse_template

DOOR = Reading(parse_template("{{ value_json.contact }}"), (("open", 1.0), ("closed", 0.0)))


def test_a_template_gives_the_number_as_json() -> None:
    reading = Reading(parse_template("{{ value_json.t | float | round(1) }}"))
    assert number_of(reading, b'{"t": "21.46"}') == b"21.5"


def test_words_stand_for_numbers() -> None:
    assert number_of(DOOR, b'{"contact": "open"}') == b"1.0"
    assert number_of(DOOR, b'{"contact": "closed"}') == b"0.0"
    assert number_of(Reading(words=(("ON", 1.0), ("OFF", 0.0))), b"ON") == b"1.0"


def test_a_truth_value_is_a_number_unless_a_word_says_otherwise() -> None:
    plain = Reading(parse_template("{{ value_json.t }}"))
    assert number_of(plain, b'{"t": true}') == b"1.0"
    inverted = Reading(parse_template("{{ value_json.t }}"), (("True", 0.0), ("False", 1.0)))
    assert number_of(inverted, b'{"t": true}') == b"0.0"


@pytest.mark.parametrize("payload", [b"ajar", b"\xff", b"", b"{}"])
def test_a_word_that_is_no_number_is_malformed(payload: bytes) -> None:
    with pytest.raises(Malformed):
        number_of(Reading(words=(("ON", 1.0),)), payload)


def test_null_is_not_a_number() -> None:
    with pytest.raises((Malformed, NotFinite)):
        number_of(Reading(parse_template("{{ value_json.t }}")), b'{"t": null}')


@pytest.mark.parametrize("payload", [b"nan", b"inf", b"-Infinity"])
def test_numbers_are_finite(payload: bytes) -> None:
    with pytest.raises(NotFinite):
        number_of(Reading(), payload)


def test_a_message_that_is_too_long_is_not_read() -> None:
    with pytest.raises(TooLarge):
        number_of(Reading(), b" " * (MAX_MESSAGE_BYTES + 1))


@given(st.binary(max_size=64))
def test_any_bytes_give_a_json_number_or_are_refused(payload: bytes) -> None:
    for reading in (Reading(), DOOR):
        with contextlib.suppress(RequestRefused):
            assert isinstance(json.loads(number_of(reading, payload)), float)
