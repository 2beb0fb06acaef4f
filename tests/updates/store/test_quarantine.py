"""Releases that are not tried again."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import StoreFailed
from gateway.updates.release import ReleaseRef
from gateway.updates.store.failpoints import armed
from gateway.updates.store.quarantine import MOST_ENTRIES, Entry, decode, encode
from gateway.updates.store.sealed import seal
from gateway.updates.store.store import Store
from tests.updates.store.transaction import open_store

REF = ReleaseRef(7, "ab" * 32)
WHEN = 1_700_000_000


def test_a_failed_release_is_remembered_through_a_restart(store: Store) -> None:
    store.quarantine("door", REF, "update.validation", "it crashed", WHEN)
    root = store.root
    store.close()
    again = open_store(root)
    assert again.quarantined("door", REF, WHEN, 0) == "update.validation: it crashed"
    again.close()


def test_it_is_that_release_of_that_model_and_no_other(store: Store) -> None:
    store.quarantine("door", REF, "update.bake", "slow", WHEN)
    for model, ref in (
        ("hall", REF),
        ("door", ReleaseRef(8, REF.digest)),
        ("door", ReleaseRef(7, "cd" * 32)),
    ):
        assert store.quarantined(model, ref, WHEN, 0) is None


@pytest.mark.parametrize(
    ("now_unix_s", "ttl_s", "counts"),
    [
        (WHEN, 100, True),
        (WHEN + 99, 100, True),
        (WHEN + 100, 100, False),
        (WHEN + 10**9, 0, True),
        (0, 100, True),  # a clock that was set back must not free a bad release
    ],
)
def test_it_counts_for_its_time(store: Store, now_unix_s: int, ttl_s: float, *, counts: bool) -> None:
    store.quarantine("door", REF, "update.bake", "slow", WHEN)
    assert (store.quarantined("door", REF, now_unix_s, ttl_s) is not None) == counts


def test_an_operator_clears_it(store: Store) -> None:
    store.quarantine("door", REF, "update.bake", "slow", WHEN)
    assert not store.clear_quarantine("door", 8)
    assert store.clear_quarantine("door", 7)
    assert store.quarantined("door", REF, WHEN, 0) is None
    assert not store.clear_quarantine("door", 7)


def test_the_same_release_has_one_entry_and_of_too_many_the_oldest_go(store: Store) -> None:
    for _ in range(2):
        store.quarantine("door", REF, "update.bake", "slow", WHEN)
    assert len(store.quarantine_entries()) == 1
    for number in range(1000, 1000 + MOST_ENTRIES):
        store.quarantine("door", ReleaseRef(number, "ab" * 32), "update.bake", "x" * 10_000, WHEN)
    entries = store.quarantine_entries()
    assert len(entries) == MOST_ENTRIES
    assert REF.number not in {entry.number for entry in entries}
    assert (store.root / "quarantine.json").stat().st_size < 1 << 20


def test_a_damaged_file_is_set_aside_and_told(store: Store) -> None:
    store.quarantine("door", REF, "update.bake", "slow", WHEN)
    path = store.layout.quarantine
    path.write_bytes(path.read_bytes()[:-20])
    assert store.quarantined("door", REF, WHEN, 0) is None
    assert path.with_name("quarantine.json.bad-1").exists()
    assert json.loads(store.layout.audit.read_bytes())["event"] == "quarantine_set_aside"


def test_what_did_not_arrive_changes_nothing(store: Store) -> None:
    with armed("quarantine.rename:error:EIO"), pytest.raises(StoreFailed):
        store.quarantine("door", REF, "update.bake", "slow", WHEN)
    assert store.quarantine_entries() == ()


ENTRIES = st.builds(
    Entry,
    model=st.just("door"),
    number=st.integers(1, 99),
    digest=st.just("ab" * 32),
    code=st.text(max_size=9),
    reason=st.text(max_size=9),
    unix_s=st.integers(0, 1 << 40),
)


@given(st.lists(ENTRIES, max_size=4))
def test_entries_come_back_as_they_were(entries: list[Entry]) -> None:
    assert decode(encode(tuple(entries))) == tuple(entries)


@pytest.mark.parametrize(
    "entries", [None, 1, [1], [{}], [{"model": "door"}], [[]], "door", [{"model": "../x", "number": 1}]]
)
def test_a_sealed_file_that_says_nonsense_is_refused(entries: object) -> None:
    with pytest.raises(StoreFailed):
        decode(seal({"schema": 1, "entries": entries}))


@pytest.mark.parametrize(
    "field",
    [
        {"number": "7"},
        {"unix_s": 1.5},
        {"code": 1},
        {"reason": None},
        {"digest": "x"},
        {"model": ".."},
        {"x": 1},
    ],
)
def test_an_entry_with_a_wrong_field_is_refused(field: dict[str, object]) -> None:
    good = {"model": "door", "number": 7, "digest": "ab" * 32, "code": "", "reason": "", "unix_s": 1}
    assert decode(seal({"schema": 1, "entries": [good]}))
    with pytest.raises(StoreFailed):
        decode(seal({"schema": 1, "entries": [{**good, **field}]}))
