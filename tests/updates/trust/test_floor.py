"""The memory of versions: it never falls for the same keys, and bytes that are none are one error."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import StoreFailed, TrustFailed
from gateway.updates.store.sealed import seal
from gateway.updates.trust.floor import (
    Floor,
    Mark,
    check_roles,
    check_root,
    decode,
    encode,
    joined,
    raised,
    with_assignment,
)

ROLES = ("timestamp", "snapshot", "targets", "models", "assign")
KEYS = st.sets(st.sampled_from("abcd"), min_size=1).map(lambda keys: tuple(sorted(keys)))
MARKS = st.builds(Mark, st.integers(1, 9), KEYS)
SEEN = st.fixed_dictionaries(dict.fromkeys(ROLES, MARKS))
GROUPS = st.dictionaries(st.sampled_from(("hall", "cellar", "roof")), st.integers(1, 9))
FLOORS = st.builds(Floor, st.integers(0, 9), SEEN, GROUPS)


@given(FLOORS, SEEN)
def test_a_version_is_refused_exactly_if_it_is_lower_and_no_key_was_revoked(
    floor: Floor, seen: dict[str, Mark]
) -> None:
    back = [
        role
        for role, mark in seen.items()
        if mark.version < floor.roles[role].version and set(floor.roles[role].keys) <= set(mark.keys)
    ]
    with pytest.raises(TrustFailed) if back else contextlib.nullcontext():
        check_roles(floor, seen)


@given(FLOORS, st.integers(0, 9), SEEN)
def test_a_floor_rises_and_falls_only_where_a_key_was_revoked(
    floor: Floor, root: int, seen: dict[str, Mark]
) -> None:
    after = raised(floor, root, seen)
    assert after.root == max(floor.root, root)
    for role, mark in seen.items():
        before = floor.roles[role]
        revoked = not set(before.keys) <= set(mark.keys)
        assert after.roles[role] == Mark(
            mark.version if revoked else max(before.version, mark.version), mark.keys
        )
        if role == "assign":
            assert after.assignments == ({} if revoked else floor.assignments)


@given(FLOORS, st.sampled_from(("hall", "attic")), st.integers(1, 9))
def test_an_older_assignment_is_refused_and_a_newer_one_remembered(
    floor: Floor, group: str, version: int
) -> None:
    before = floor.assignments.get(group, 0)
    if version < before:
        with pytest.raises(TrustFailed, match=f"assign/{group}"):
            with_assignment(floor, group, version)
    else:
        after = with_assignment(floor, group, version)
        assert after.assignments == {**floor.assignments, group: version}
        assert (after.root, after.roles) == (floor.root, floor.roles)


def test_a_board_that_changes_its_group_for_ever_remembers_the_last_ones() -> None:
    floor = Floor()
    for number in range(200):
        floor = with_assignment(floor, f"group-{number}", number + 1)
    assert len(floor.assignments) == 64
    assert floor.assignments["group-199"] == 200
    assert decode(encode(floor)) == floor


@given(st.integers(0, 9), st.integers(0, 9))
def test_an_older_root_is_refused(floor: int, version: int) -> None:
    with pytest.raises(TrustFailed, match="replays") if version < floor else contextlib.nullcontext():
        check_root(Floor(floor), version)


@given(FLOORS)
def test_a_floor_is_read_back_as_it_was_written(floor: Floor) -> None:
    assert decode(encode(floor)) == floor


@given(FLOORS, st.integers(0, 9), SEEN)
def test_of_two_copies_the_newer_counts(floor: Floor, root: int, seen: dict[str, Mark]) -> None:
    # Keys are revoked by a newer root, or by newer targets.
    keys = {role: Mark(mark.version, floor.roles[role].keys) for role, mark in seen.items()}
    after = raised(floor, root, keys)
    assert joined(floor, after) == joined(after, floor) == after
    assert joined(Floor(), after) == after


@given(st.binary(max_size=300))
@example(b"")
@example(b"\0" * 80)
@example(seal({}))
@example(seal({"schema": 1, "root": -1, "roles": {}, "assignments": []}))
@example(seal({"schema": 1, "root": True, "roles": {}, "assignments": []}))
@example(seal({"schema": 2, "root": 1, "roles": {}, "assignments": []}))
@example(seal({"schema": 1, "root": 1, "roles": {"a": 1}, "assignments": []}))
@example(seal({"schema": 1, "root": 1, "roles": {"a": {"version": 1, "keys": [1]}}, "assignments": []}))
@example(seal({"schema": 1, "root": 1, "roles": [], "assignments": []}))
@example(seal({"schema": 1, "root": 1, "roles": {}, "assignments": [["..", 1]]}))
@example(seal({"schema": 1, "root": 1, "roles": {}, "assignments": [[{}, 1]]}))
@example(seal({"schema": 1, "root": 1, "roles": {}, "assignments": 7}))
def test_bytes_that_are_no_floor_are_one_error(data: bytes) -> None:
    with pytest.raises(StoreFailed):
        decode(data)


@given(FLOORS, st.data())
def test_one_changed_byte_of_a_floor_is_noticed(floor: Floor, data: st.DataObject) -> None:
    whole = bytearray(encode(floor))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(StoreFailed):
        decode(bytes(whole))
    assert json.loads(encode(floor))["root"] == floor.root
