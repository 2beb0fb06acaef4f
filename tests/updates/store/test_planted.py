"""Links, pipes, folders and strangers' files in the store: refused or replaced, never followed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.errors import StoreFailed
from gateway.updates.manifest import manifest_bytes
from gateway.updates.release import ReleaseRef
from gateway.updates.state import ModelRecord
from gateway.updates.store.store import Store
from tests.updates.store.transaction import (
    MODEL,
    blob_of,
    contents,
    fetch,
    noise,
    open_store,
    put_blob,
    ref_of,
    release_of,
    stage,
)

DATA = noise("planted", 3000)
BLOB = blob_of(DATA)


@pytest.fixture(name="victim")
def _victim(tmp_path: Path) -> Path:
    """Return a file outside of the store that nobody may read through it or write to."""
    victim = tmp_path / "victim"
    victim.write_bytes(DATA)
    victim.chmod(0o600)
    return victim


def _link(place: Path, victim: Path) -> None:
    place.symlink_to(victim)


def _hard_link(place: Path, victim: Path) -> None:
    os.link(victim, place)


def _pipe(place: Path, victim: Path) -> None:
    os.mkfifo(place)


def _folder(place: Path, victim: Path) -> None:
    place.mkdir()
    (place / "inner").symlink_to(victim)


def _dangling(place: Path, victim: Path) -> None:
    place.symlink_to(victim.with_name("made-by-us"))


PLANTS = [_link, _hard_link, _pipe, _folder, _dangling]
every_plant = pytest.mark.parametrize("plant", PLANTS)
Plant = Callable[[Path, Path], None]


@every_plant
def test_in_place_of_a_partial_blob_it_is_replaced(store: Store, victim: Path, plant: Plant) -> None:
    plant(store.layout.part(BLOB.sha256), victim)
    victim.write_bytes(bytes(3000))  # so that its bytes are no help
    put_blob(store, DATA)
    assert store.has(BLOB)
    assert victim.read_bytes() == bytes(3000)
    assert sorted(path.name for path in victim.parent.iterdir()) == ["models", "victim"]


@every_plant
def test_in_place_of_a_blob_it_is_none_and_is_replaced(store: Store, victim: Path, plant: Plant) -> None:
    plant(store.blob_path(BLOB.sha256), victim)
    assert not store.has(BLOB)
    put_blob(store, DATA)
    assert store.has(BLOB)
    assert victim.read_bytes() == DATA
    assert victim.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in victim.parent.iterdir()) == ["models", "victim"]


@every_plant
@pytest.mark.parametrize("name", ["state/.tmp-door.json", "state/.tmp-door.floor", ".tmp-quarantine.json"])
def test_in_place_of_a_temporary_file_it_is_replaced(
    store: Store, victim: Path, plant: Plant, name: str
) -> None:
    plant(store.root / name, victim)
    store.commit(ModelRecord("door", 1, floor=1))
    store.quarantine("door", ReleaseRef(1, "ab" * 32), "update.bake", "slow", 1)
    assert store.record("door").floor == 1
    assert victim.read_bytes() == DATA
    assert sorted(path.name for path in victim.parent.iterdir()) == ["models", "victim"]


@every_plant
def test_in_place_of_a_record_it_is_set_aside(store: Store, victim: Path, plant: Plant) -> None:
    store.commit(ModelRecord("door", 1, floor=4))
    place = store.layout.record("door")
    place.unlink()
    plant(place, victim)
    assert store.record("door") == ModelRecord("door", floor=4)
    assert victim.read_bytes() == DATA


@every_plant
def test_in_place_of_a_file_of_a_release_it_is_found(store: Store, victim: Path, plant: Plant) -> None:
    release = stage(store, 1)
    store.verify(MODEL, ref_of(release))
    folder = store.release_folder(MODEL, 1)
    folder.chmod(0o755)
    (folder / "labels.txt").unlink()
    victim.write_bytes(contents(1)["labels.txt"])  # even with the right bytes: who may change them?
    plant(folder / "labels.txt", victim)
    with pytest.raises(StoreFailed, match=r"labels\.txt"):
        store.verify(MODEL, ref_of(release))
    store.stage(release, manifest_bytes(release))
    store.verify(MODEL, ref_of(release))


@every_plant
def test_in_place_of_the_quarantine_or_the_audit_log_it_does_no_harm(
    store: Store, victim: Path, plant: Plant
) -> None:
    plant(store.layout.quarantine, victim)
    plant(store.layout.audit, victim)
    try:
        assert store.quarantine_entries() == ()
        store.audit("looked")
    except StoreFailed:
        pass
    assert victim.read_bytes() == DATA
    assert sorted(path.name for path in victim.parent.iterdir()) == ["models", "victim"]


@every_plant
def test_in_place_of_the_lock_it_is_refused(root: Path, victim: Path, plant: Plant) -> None:
    open_store(root).close()
    (root / "LOCK").unlink()
    plant(root / "LOCK", victim)
    with pytest.raises(StoreFailed, match="LOCK"):
        open_store(root)
    assert victim.read_bytes() == DATA


@pytest.mark.parametrize("folder", ["blobs", "partial", "releases", "state", "trust", "current"])
def test_a_folder_that_is_a_link_is_refused(root: Path, tmp_path: Path, folder: str) -> None:
    open_store(root).close()
    elsewhere = tmp_path / "elsewhere"
    (root / folder).rename(elsewhere)
    (root / folder).symlink_to(elsewhere)
    with pytest.raises(StoreFailed, match=folder):
        open_store(root)


@pytest.mark.parametrize("level", ["releases/door", "releases/door/1", "releases/door/1/golden"])
def test_a_folder_of_a_release_that_is_a_link_is_not_followed(
    store: Store, tmp_path: Path, level: str
) -> None:
    release = stage(store, 1)
    elsewhere = tmp_path / "elsewhere"
    for path in (store.root / level, (store.root / level).parent):
        path.chmod(0o755)
    (store.root / level).rename(elsewhere)
    (store.root / level).symlink_to(elsewhere)
    with pytest.raises(StoreFailed):
        store.verify(MODEL, ref_of(release))
    before = sorted(elsewhere.rglob("*"))
    if level == "releases/door":
        with pytest.raises(StoreFailed):
            store.stage(release, manifest_bytes(release))
    else:
        store.stage(release, manifest_bytes(release))
        store.verify(MODEL, ref_of(release))
    store.collect(0)
    assert sorted(elsewhere.rglob("*")) == before


def test_removing_a_release_follows_no_link_in_it(store: Store, tmp_path: Path) -> None:
    stage(store, 1)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("stays")
    folder = store.release_folder(MODEL, 1)
    folder.chmod(0o755)
    (folder / "out").symlink_to(precious)
    store.collect(0)
    assert not folder.exists()
    assert (precious / "file").read_text() == "stays"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_of_another_user_are_not_believed(store: Store, root: Path) -> None:
    put_blob(store, DATA)
    store.commit(ModelRecord("door", 1, floor=2))
    os.chown(store.blob_path(BLOB.sha256), 65534, 65534)
    os.chown(store.layout.record("door"), 65534, 65534)
    assert not store.has(BLOB)
    assert store.record("door") == ModelRecord("door", floor=2)
    store.close()
    os.chown(root / "blobs", 65534, 65534)
    with pytest.raises(StoreFailed, match="user 65534"):
        open_store(root)


def test_a_blob_that_can_be_written_to_is_none(store: Store) -> None:
    release = fetch(store, 1)
    store.blob_path(release.files[0].blob.sha256).chmod(0o644)
    assert not store.has(release.files[0].blob)
    with pytest.raises(StoreFailed):
        store.stage(release, manifest_bytes(release))
    assert release_of(1) == release
