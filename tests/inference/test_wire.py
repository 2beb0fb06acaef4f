"""Messages between the front end and a worker."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inference.wire import Splitter, encode

HEADS = st.dictionaries(
    st.text(),
    st.integers(-(2**63), 2**64 - 1) | st.text() | st.lists(st.floats(allow_nan=False, allow_infinity=False)),
)


@given(st.lists(st.tuples(HEADS, st.binary())), st.integers(1, 50))
def test_messages_survive_any_cutting_of_the_stream(
    messages: list[tuple[dict[str, object], bytes]], cut: int
) -> None:
    stream = b"".join(encode(head, tail) for head, tail in messages)
    splitter = Splitter()

    got = [m for at in range(0, len(stream), cut) for m in splitter.feed(stream[at : at + cut])]

    assert got == [(head, tail) for head, tail in messages]


@given(HEADS, st.binary())
def test_the_fast_writer_says_what_the_slow_one_says(head: dict[str, object], tail: bytes) -> None:
    assert list(Splitter().feed(encode(head, tail, is_finite=True))) == list(
        Splitter().feed(encode(head, tail))
    )


def test_half_a_character_passes_both_writers_and_the_reader() -> None:
    head = {"message": "cannot read caf\udce9.tflite"}
    for is_finite in (False, True):
        assert list(Splitter().feed(encode(head, is_finite=is_finite))) == [(head, b"")]


@given(st.binary())
def test_any_bytes_give_messages_or_a_value_error(data: bytes) -> None:
    splitter = Splitter()
    try:
        for head, tail in splitter.feed(data):
            assert isinstance(head, dict)
            assert isinstance(tail, bytes)
    except (ValueError, json.JSONDecodeError):
        pass


@pytest.mark.parametrize("head", [{"x": float("nan")}, {"x": float("inf")}, {"x": object()}])
def test_what_json_cannot_say_is_never_sent(head: dict[str, object]) -> None:
    with pytest.raises((TypeError, ValueError), match="JSON"):
        encode(head)
