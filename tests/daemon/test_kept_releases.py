"""What serves although the store is somebody else's: what is whole, and counted by nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.daemon.kept_releases import kept_folders
from gateway.updates.state import Phase
from gateway.updates.store.store import Store
from tests.daemon.update_world import damage, write
from tests.updates.store.transaction import MODEL, ref_of, release_of, stage

ONE, TWO = ref_of(release_of(1)), ref_of(release_of(2))


@pytest.fixture(autouse=True)
def _staged(store: Store) -> None:
    stage(store, 1)
    stage(store, 2)


def test_the_committed_release_is_found_while_another_has_the_store(store: Store) -> None:
    write(store, active=TWO, previous=ONE, floor=2)
    found = kept_folders(store.root, [MODEL, "unknown"])
    assert found == {MODEL: str(store.release_folder(MODEL, 2))}


def test_a_release_in_its_bake_gives_way_to_the_one_before(store: Store) -> None:
    write(store, phase=Phase.BAKING, active=TWO, previous=ONE, candidate=TWO)
    assert kept_folders(store.root, [MODEL]) == {MODEL: str(store.release_folder(MODEL, 1))}


def test_damaged_releases_leave_the_factory_model(store: Store) -> None:
    write(store, active=TWO, previous=ONE, floor=2)
    damage(store, 2)
    assert kept_folders(store.root, [MODEL]) == {MODEL: str(store.release_folder(MODEL, 1))}
    damage(store, 1)
    assert kept_folders(store.root, [MODEL]) == {}


def test_nothing_is_written_or_moved_aside(store: Store, tmp_path: Path) -> None:
    record = store.root / "state" / f"{MODEL}.json"
    record.write_bytes(b"{")
    before = sorted(path for path in store.root.rglob("*"))
    assert kept_folders(store.root, [MODEL]) == {}
    assert sorted(path for path in store.root.rglob("*")) == before
    assert kept_folders(tmp_path / "nowhere", [MODEL]) == {}
