"""Orders and doorbells from the broker: read strictly, never more than they may do, never raising."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.daemon.update_topics import MOST_BYTES, ORDERS, Order, read_order
from gateway.errors import Malformed


@pytest.mark.parametrize("name", ORDERS)
def test_every_order_is_read_with_its_model_and_release(name: str) -> None:
    said = json.dumps({"do": name, "model": "classifier", "release": 7}).encode()
    assert read_order(said) == Order(name, "classifier", 7)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"pause",
        b"[]",
        b'{"do": "install"}',
        b'{"do": "pause", "model": 1}',
        b'{"do": "clear", "release": -1}',
        b'{"do": "clear", "release": true}',
        b'{"do": ["pause"]}',
        b"[" * 4000,
        b'{"do": "pause"}' + b" " * MOST_BYTES,
    ],
)
def test_what_is_no_order_is_refused_with_words(said: bytes) -> None:
    with pytest.raises(Malformed):
        read_order(said)


@given(st.one_of(st.binary(max_size=80), st.text(max_size=80).map(str.encode)))
def test_any_bytes_give_an_order_or_one_typed_error(said: bytes) -> None:
    try:
        assert read_order(said).name in ORDERS
    except Malformed as error:
        assert error.message
