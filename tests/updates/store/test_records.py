"""Records on disk: whoever has not seen the last change changes nothing, and no accident lowers the floor."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.errors import GatewayBug, LostRace, ManifestRefused, StoreFailed
from gateway.updates.release import ReleaseRef
from gateway.updates.state import DURABLE, ModelRecord, Phase
from gateway.updates.store.failpoints import armed
from gateway.updates.store.store import Store
from tests.updates.store.transaction import open_store

REF = ReleaseRef(3, "ab" * 32)
FULL = ModelRecord("door", 1, Phase.IDLE, active=REF, floor=3)
DAMAGE: dict[str, Callable[[Path], object]] = {
    "zeros": lambda path: path.write_bytes(b"\0" * 400),
    "empty": lambda path: path.write_bytes(b""),
    "one bit": lambda path: path.write_bytes(path.read_bytes().replace(b'"floor":3', b'"floor":2')),
    "torn": lambda path: path.write_bytes(path.read_bytes()[:100]),
    "huge": lambda path: path.write_bytes(b" " * 100_000),
    "a folder": lambda path: path.rename(path.with_name("gone")).with_name("door.json").mkdir(),
    "a link": lambda path: path.symlink_to(path.rename(path.with_name("gone"))),
}


def test_a_record_comes_back_from_a_store_opened_again(root: Path) -> None:
    with contextlib.closing(open_store(root)) as store:
        assert store.record("door") == ModelRecord("door")
        store.commit(FULL)
    with contextlib.closing(open_store(root)) as store:
        assert store.record("door") == FULL
        assert store.records() == {"door": FULL}


def test_of_two_who_saw_the_same_only_the_first_writes(store: Store) -> None:
    store.commit(FULL)
    seen = store.record("door")
    store.commit(replace(seen, seq=2, boots=1))
    with pytest.raises(LostRace) as caught:
        store.commit(replace(seen, seq=2, boots=7))
    assert caught.value.attributes["seq"] == 2
    assert store.record("door").boots == 1


def test_the_same_record_may_be_committed_again_by_who_does_not_know_whether_it_arrived(store: Store) -> None:
    with armed("state.folder_fsync:error:EIO"), pytest.raises(StoreFailed):
        store.commit(FULL)
    store.commit(FULL)
    assert store.record("door") == FULL


@pytest.mark.parametrize("seq", [0, 2, 4, 100])
def test_a_record_must_follow_the_one_on_disk(store: Store, seq: int) -> None:
    store.commit(FULL)
    store.commit(replace(FULL, seq=2))
    with pytest.raises(LostRace):
        store.commit(replace(FULL, seq=seq, boots=9))


def test_the_floor_never_falls_by_our_own_hand(store: Store) -> None:
    store.commit(FULL)
    with pytest.raises(GatewayBug):
        store.commit(replace(FULL, seq=2, floor=2))
    assert store.record("door").floor == 3


@pytest.mark.parametrize("phase", sorted(set(Phase) - DURABLE, key=str))
def test_phases_that_do_not_survive_are_never_written(store: Store, phase: Phase) -> None:
    with pytest.raises(GatewayBug):
        store.commit(ModelRecord("door", 1, phase))
    assert store.records() == {}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_record_is_set_aside_told_and_leaves_the_floor(root: Path, kind: str) -> None:
    with contextlib.closing(open_store(root)) as store:
        store.commit(FULL)
        path = root / "state" / "door.json"
        DAMAGE[kind](path)
        assert store.record("door") == ModelRecord("door", floor=3)
        assert not path.exists()
        assert path.with_name("door.json.bad-1").lstat()
        told = json.loads((root / "audit.jsonl").read_bytes().splitlines()[-1])
        assert (told["event"], told["file"]) == ("record_set_aside", "door.json.bad-1")
        store.commit(ModelRecord("door", 1, floor=3))
        assert store.record("door").floor == 3


def test_records_set_aside_do_not_fill_the_folder(store: Store, root: Path) -> None:
    for _ in range(20):
        (root / "state" / "door.json").write_bytes(b"?")
        store.record("door")
    assert len(list((root / "state").glob("door.json.bad-*"))) == 9


def test_a_child_reads_a_damaged_record_and_leaves_it_to_the_daemon(store: Store, root: Path) -> None:
    store.commit(FULL)
    (root / "state" / "door.json").write_bytes(b"?")
    child = Store.open(root, quota_bytes=1, reserve_bytes=0, lock_fd=store.lock_fd)
    assert child.record("door") == ModelRecord("door", floor=3)
    assert (root / "state" / "door.json").read_bytes() == b"?"


def test_a_damaged_second_floor_does_no_harm_while_the_record_is_good(store: Store, root: Path) -> None:
    store.commit(FULL)
    (root / "state" / "door.floor").write_bytes(b"?")
    assert store.record("door").floor == 3
    store.commit(replace(FULL, seq=2))
    (root / "state" / "door.json").write_bytes(b"?")
    assert store.record("door").floor == 3, "the commit did not write the copy anew"


def test_a_name_that_is_none_is_refused(store: Store) -> None:
    with pytest.raises(ManifestRefused):
        store.record("../door")
    with pytest.raises(ManifestRefused):
        store.commit(ModelRecord("a/b", 1))


class Races(RuleBasedStateMachine):
    """Two writers who read and commit as they like, errors of the disk, damage, and new starts."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.store = open_store(self.folder / "models")
        self.seen = {name: ModelRecord("door") for name in ("a", "b")}
        self.acked = ModelRecord("door")
        self.floor = 0
        self.damaged = False

    @initialize()
    def start(self) -> None:
        self.seen["a"] = self.store.record("door")

    @rule(who=st.sampled_from("ab"))
    def read(self, who: str) -> None:
        self.seen[who] = self.acked = self.store.record("door")
        self.damaged = False

    @rule(
        who=st.sampled_from("ab"),
        rise=st.integers(0, 3),
        point=st.sampled_from(["", "state.write", "state.fsync", "state.rename", "floor.rename"]),
    )
    @precondition(lambda self: not self.damaged)
    def write(self, who: str, rise: int, point: str) -> None:
        seen = self.seen[who]
        record = replace(seen, seq=seen.seq + 1, floor=max(self.floor, seen.floor) + rise, code=who)
        follows = seen.seq == self.acked.seq and (seen.seq > 0 or record.floor >= self.acked.floor)
        follows = follows or record == self.acked
        try:
            with armed(f"{point}:error:EIO" if point else ""):
                self.store.commit(record)
        except LostRace:
            assert not follows
        except StoreFailed:
            assert point
            assert follows
            # Without a record the second copy counts, and that may be the one that did not arrive whole.
            held = self.store.record("door")
            assert held in (self.acked, replace(self.acked, floor=record.floor) if not held.seq else None)
            self.acked = held
        else:
            assert follows
            self.seen[who] = self.acked = record
            self.floor = record.floor

    @rule()
    def start_again(self) -> None:
        self.store.close()
        self.store = open_store(self.folder / "models")

    @rule()
    @precondition(lambda self: self.acked.seq > 0)
    def rot(self) -> None:
        (self.folder / "models" / "state" / "door.json").write_bytes(b"\0" * 64)
        self.damaged = True

    @invariant()
    def the_floor_holds(self) -> None:
        if not self.damaged:
            held = self.store.record("door")
            assert held == self.acked
            assert held.floor >= self.floor

    def teardown(self) -> None:
        record = self.store.record("door")
        assert record.floor >= self.floor
        self.store.close()
        shutil.rmtree(self.folder)


TestRaces = Races.TestCase
TestRaces.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
