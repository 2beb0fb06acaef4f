"""A disk that is really full: a small file system of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import DiskFull
from gateway.updates.release import ReleaseRef
from gateway.updates.state import Phase
from gateway.updates.store.audit import breaks
from gateway.updates.store.failpoints import armed
from gateway.updates.store.store import Store
from tests.small_disk import SIZE_BYTES, fill
from tests.updates.store.transaction import MODEL, blob_of, install, noise, open_store, ref_of, release_of


@pytest.fixture(name="full")
def _full(disk: Path) -> Iterator[Store]:
    """Return a store that serves release 1 on a disk without a free byte."""
    with contextlib.closing(open_store(disk / "models")) as store:
        install(store, 1)
        fill(disk)
        yield store


def _audit_much(store: Store) -> None:
    for _ in range(40):
        store.audit("told", words="x" * 400)


def test_a_record_and_a_quarantine_are_written_all_the_same(full: Store, disk: Path) -> None:
    held = full.record(MODEL)
    full.commit(replace(held, seq=held.seq + 1, phase=Phase.READY, candidate=ReleaseRef(2, "ab" * 32)))
    assert not full.layout.ballast.exists()
    assert full.record(MODEL).phase is Phase.READY
    full.quarantine(MODEL, ReleaseRef(2, "ab" * 32), "update.bake", "slow", 1)
    assert full.quarantined(MODEL, ReleaseRef(2, "ab" * 32), 2, 0)
    full.verify(MODEL, ref_of(release_of(1)))
    (disk / "filler").unlink()
    full.collect(0)
    assert full.layout.ballast.exists(), "it is taken again when there is room"


def test_without_ballast_the_old_record_stays_and_the_error_is_a_full_disk(full: Store, disk: Path) -> None:
    full.layout.ballast.unlink()
    fill(disk)
    held = full.record(MODEL)
    with pytest.raises(DiskFull):
        full.commit(replace(held, seq=held.seq + 1, boots=1))
    assert full.record(MODEL) == held
    assert list(full.root.rglob(".tmp-*")) == []


def test_a_ballast_that_cannot_be_given_up_leaves_the_full_disk_as_the_error(full: Store) -> None:
    held = full.record(MODEL)
    with armed("ballast.drop:error:EIO"), pytest.raises(DiskFull):
        full.commit(replace(held, seq=held.seq + 1, boots=1))
    assert full.record(MODEL) == held


def test_a_blob_that_does_not_fit_is_refused_at_once_and_leaves_nothing(full: Store, disk: Path) -> None:
    (disk / "filler").unlink()
    data = noise("too much", SIZE_BYTES)
    with pytest.raises(DiskFull) as caught:
        full.partial(blob_of(data))
    assert caught.value.attributes["needed_bytes"] == SIZE_BYTES
    assert 0 < float(caught.value.attributes["free_bytes"]) < SIZE_BYTES
    assert list((full.root / "partial").iterdir()) == []
    with pytest.raises(DiskFull):
        full.preflight(SIZE_BYTES)
    full.verify(MODEL, ref_of(release_of(1)))
    install(full, 2)


def test_a_full_disk_stops_nothing_that_serves_and_heals_when_there_is_room(full: Store, disk: Path) -> None:
    with pytest.raises(DiskFull):
        install(full, 2)
    with pytest.raises(DiskFull):
        _audit_much(full)
    assert list(breaks(full.layout)) == []
    root = full.root
    full.close()
    with contextlib.closing(open_store(root)) as again:
        assert again.record(MODEL).active == ref_of(release_of(1))
        again.verify(MODEL, ref_of(release_of(1)))
        (disk / "filler").unlink()
        install(again, 2)
        assert [each for each in again.check(mend=True) if not each.mended] == []
