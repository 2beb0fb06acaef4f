"""Giving back room: never what a record names, always what nobody needs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.updates.manifest import manifest_bytes
from gateway.updates.release import Delta
from gateway.updates.state import ModelRecord
from gateway.updates.store.store import Store
from tests.updates.store.transaction import (
    MODEL,
    blob_of,
    contents,
    feed,
    fetch,
    noise,
    put_blob,
    ref_of,
    release_of,
    stage,
)


def numbers(store: Store) -> list[int]:
    return sorted(int(path.name) for path in store.layout.releases.glob(f"{MODEL}/*"))


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    there=st.sets(st.integers(1, 6)),
    named=st.tuples(*[st.sampled_from([None, 1, 2, 3, 4])] * 3),
    keep=st.integers(0, 2),
)
def test_what_a_record_names_stays_and_the_newest_others(
    store: Store, there: set[int], named: tuple[int | None, ...], keep: int
) -> None:
    for number in there | {number for number in named if number}:
        stage(store, number)
    held = store.record(MODEL)
    refs = [None if number is None else ref_of(release_of(number)) for number in named]
    store.commit(ModelRecord(MODEL, held.seq + 1, active=refs[0], previous=refs[1], candidate=refs[2]))
    before = set(numbers(store))
    safe = {number for number in named if number}
    store.collect(keep)
    others = sorted(before - safe)
    assert set(numbers(store)) == safe | set(others[len(others) - keep :] if keep else [])
    for ref in refs:
        if ref is not None:
            store.verify(MODEL, ref)
    wanted = {blob.sha256 for number in numbers(store) for blob in release_of(number).blobs()}
    assert {path.name for path in store.layout.blobs.iterdir()} == wanted


def test_the_room_comes_back_and_is_counted(store: Store) -> None:
    stage(store, 1)
    before = store.usage().store_bytes
    collected = store.collect(0)
    after = store.usage().store_bytes
    assert collected.freed_bytes == before - after > 1 << 20
    assert f"releases/{MODEL}/1" in collected.names
    assert len(collected.names) == 1 + len(release_of(1).blobs())
    assert store.collect(0).names == ()


def test_a_release_on_its_way_keeps_its_folder_blobs_patches_and_chunks(store: Store) -> None:
    patch = put_blob(store, noise("patch", 700))
    release = replace(
        fetch(store, 1),
        deltas=(Delta("ab" * 32, release_of(1).files[0].blob.sha256, "zstd-patch-from", patch),),
    )
    coming = release_of(2)
    partial = store.partial(coming.files[0].blob)
    feed(partial, contents(2)["weights.tflite"])
    partial.close()
    stage(store, 3)
    assert store.collect(0, spare=[release, coming, release_of(3)]).names == ()
    assert store.partial(coming.files[0].blob).missing() == []
    gone = store.collect(0).names
    assert f"partial/{coming.files[0].blob.sha256}.part" in gone
    assert f"blobs/{patch.sha256}" in gone
    assert f"releases/{MODEL}/3" in gone


def test_a_staged_release_whose_manifest_cannot_be_read_keeps_its_blobs(store: Store) -> None:
    release = stage(store, 1)
    store.commit(ModelRecord(MODEL, 1, active=ref_of(release)))
    folder = store.release_folder(MODEL, 1)
    folder.chmod(0o755)
    (folder / "manifest.json").unlink()
    assert store.collect(0).names == ()


def test_a_blob_that_was_mended_apart_from_its_release_stays(store: Store) -> None:
    """The release's folder holds the old file; its manifest names the new one."""
    release = stage(store, 1)
    store.commit(ModelRecord(MODEL, 1, active=ref_of(release)))
    store.blob_path(release.files[0].blob.sha256).unlink()
    put_blob(store, contents(1)["weights.tflite"])
    assert store.collect(0).names == ()
    store.stage(release, manifest_bytes(release))
    store.verify(MODEL, ref_of(release))


@pytest.mark.parametrize("name", ["blobs/rubbish", "partial/rubbish", "partial/" + "ab" * 32])
def test_rubbish_goes(store: Store, name: str) -> None:
    (store.root / name).write_bytes(b"?")
    assert store.collect(0).names == (name,)


def test_the_number_that_looks_old_but_sorts_young_is_no_trap(store: Store) -> None:
    for number in (9, 10, 100):
        stage(store, number)
    store.collect(2)
    assert numbers(store) == [10, 100]


def test_blobs_that_two_models_share_stay_while_one_needs_them(store: Store) -> None:
    shared = blob_of(contents(1)["labels.txt"])
    stage(store, 1)
    hall = stage(store, 1, "hall")
    store.commit(ModelRecord("hall", 1, active=ref_of(hall)))
    store.collect(0)
    assert store.has(shared)
    store.verify("hall", ref_of(hall))
