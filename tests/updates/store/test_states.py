"""Records as bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import StoreFailed
from gateway.updates.release import ReleaseRef
from gateway.updates.state import DURABLE, ModelRecord, Phase
from gateway.updates.store.sealed import seal
from gateway.updates.store.states import decode, decode_floor, encode, encode_floor

COUNTS = st.integers(0, 1 << 53)
REFS = st.none() | st.builds(
    ReleaseRef, st.integers(1, 1 << 53), st.text("0123456789abcdef", min_size=64, max_size=64)
)
RECORDS = st.builds(
    ModelRecord,
    model=st.just("door"),
    seq=COUNTS,
    phase=st.sampled_from(sorted(DURABLE, key=lambda phase: phase.value)),
    active=REFS,
    previous=REFS,
    candidate=REFS,
    floor=COUNTS,
    boots=COUNTS,
    baked_s=st.floats(0, 1e9),
    baked_requests=COUNTS,
    attempts=COUNTS,
    retry_unix_s=COUNTS,
    code=st.text(max_size=40),
    reason=st.text(max_size=40),
    since_unix_s=COUNTS,
)


@given(RECORDS)
def test_a_record_comes_back_as_it_was(record: ModelRecord) -> None:
    assert decode(encode(record), "door") == record


@given(COUNTS)
def test_a_floor_comes_back_as_it_was(floor: int) -> None:
    assert decode_floor(encode_floor(floor), "door") == floor


def changed(**fields: Any) -> bytes:
    body = {**json.loads(encode(ModelRecord("door"))), **fields}
    body.pop("crc")
    return seal({key: value for key, value in body.items() if value != "absent"})


@pytest.mark.parametrize(
    "fields",
    [
        {"schema": 2},
        {"model": "hall"},
        {"model": "../door"},
        {"phase": "staged"},
        {"phase": "asleep"},
        {"seq": -1},
        {"seq": True},
        {"seq": "1"},
        {"floor": 1.5},
        {"floor": "absent"},
        {"baked_s": -0.5},
        {"baked_s": 1},
        {"code": None},
        {"active": {"number": 0, "digest": "ab" * 32}},
        {"active": {"number": 1, "digest": "AB" * 32}},
        {"active": {"number": 1}},
        {"active": {"number": 1, "digest": "ab" * 32, "more": 1}},
        {"active": 1},
        {"active": [1, "ab"]},
    ],
)
def test_a_sealed_record_that_says_nonsense_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(StoreFailed, match="door"):
        decode(changed(**fields), "door")
    assert decode(changed(), "door") == ModelRecord("door")


@given(st.dictionaries(st.sampled_from([*json.loads(encode(ModelRecord("door")))]), st.none() | st.text()))
def test_any_sealed_object_is_a_record_or_one_error(body: dict[str, Any]) -> None:
    with pytest.raises(StoreFailed):
        decode(seal({key: value for key, value in body.items() if key != "crc"}), "door")
    with pytest.raises(StoreFailed):
        decode_floor(seal({"floor": body.get("floor")}), "door")


def test_only_durable_phases_are_read_back() -> None:
    assert set(Phase) - DURABLE == {Phase.FETCHING, Phase.STAGED, Phase.SHADOWING}
