"""Scalars to typed values."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.configuration import scalars
from gateway.configuration.document import Scalar
from gateway.configuration.place import START
from gateway.configuration.scalars import PlainValue, WrongType

NUMBER_LIKE = st.text(st.sampled_from(list("0123456789+-._eExob,aAfFnN~")), max_size=12)


def plain(text: str) -> Scalar:
    return Scalar(START, text, plain=True)


def quoted(text: str) -> Scalar:
    return Scalar(START, text, plain=False)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("NO", "NO"),
        ("off", "off"),
        ("12", 12),
        ("-0", 0),
        ("0x1F", 31),
        ("0o17", 15),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2026-01-02", "2026-01-02"),
        ("1.", 1.0),
        (".5", 0.5),
        ("-1e-3", -0.001),
        ("1e", "1e"),
        ("=", "="),
    ],
)
def test_an_undeclared_scalar_is_read_by_yaml_1_2(text: str, value: PlainValue) -> None:
    got = scalars.as_plain(plain(text))
    assert (got, type(got)) == (value, type(value))


def test_quotes_make_a_text_of_anything() -> None:
    for text in ("", "~", "true", "1", "1.5", ".nan"):
        assert scalars.as_plain(quoted(text)) == text


@pytest.mark.parametrize("conversion", [scalars.as_bool, scalars.as_int, scalars.as_float])
def test_a_quoted_value_is_no_number_and_no_truth_value(conversion: Callable[[Scalar], PlainValue]) -> None:
    for text in ("1", "true"):
        with pytest.raises(WrongType):
            conversion(quoted(text))


@given(st.integers(-(10**29), 10**29))
def test_whole_numbers_come_back_as_written(number: int) -> None:
    assert number == scalars.as_int(plain(str(number)))
    assert number == scalars.as_plain(plain(str(number)))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_come_back_as_written(number: float) -> None:
    assert number == scalars.as_float(plain(repr(number)))


@given(st.one_of(NUMBER_LIKE, st.text(max_size=20)), st.booleans())
def test_any_text_is_a_value_of_the_asked_type_or_refused(text: str, is_plain: bool) -> None:
    scalar = Scalar(START, text, plain=is_plain)
    for conversion, kind in (
        (scalars.as_bool, bool),
        (scalars.as_int, int),
        (scalars.as_float, float),
        (scalars.as_text, str),
    ):
        try:
            value = conversion(scalar)
        except WrongType:
            continue
        assert type(value) is kind
        assert not isinstance(value, float) or math.isfinite(value)
