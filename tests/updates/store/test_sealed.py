"""Objects with a checksum."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import StoreFailed
from gateway.updates.store.sealed import seal, unseal

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
BODIES = st.dictionaries(st.text().filter(lambda key: key != "crc"), VALUES, max_size=5)


@given(BODIES)
def test_what_was_sealed_comes_back(body: dict[str, object]) -> None:
    assert unseal(seal(body), "it") == json.loads(json.dumps(body))


@given(BODIES, st.data())
def test_one_changed_byte_is_found(body: dict[str, object], data: st.DataObject) -> None:
    sealed = bytearray(seal(body))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(StoreFailed):
        unseal(bytes(sealed), "it")


@given(BODIES, st.data())
def test_a_torn_or_padded_file_is_found(body: dict[str, object], data: st.DataObject) -> None:
    sealed = seal(body)
    for torn in (sealed[: data.draw(st.integers(0, len(sealed) - 1))], sealed + b"\0" * 512, b" " + sealed):
        with pytest.raises(StoreFailed):
            unseal(torn, "it")


@given(st.binary())
def test_any_bytes_give_an_object_or_one_error(noise: bytes) -> None:
    with pytest.raises(StoreFailed):
        unseal(noise, "it")


@pytest.mark.parametrize("noise", [b"[" * 100_000, b"9" * 10_000, b'{"a":NaN,"crc":"0"}\n', b"null", b"\xff"])
def test_nasty_json_is_refused(noise: bytes) -> None:
    with pytest.raises(StoreFailed):
        unseal(noise, "it")
