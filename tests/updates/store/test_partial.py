"""Blobs on their way in: resumed, checked, sealed, and given up when the disk cannot be believed."""

from __future__ import annotations

import errno
import hashlib
import os
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import DiskFull, FetchRefused, GatewayBug, ManifestRefused, StoreFailed
from gateway.updates.release import CHUNK_BYTES, MOST_FILE_BYTES, Blob
from gateway.updates.store import partial as partial_blobs
from gateway.updates.store.failpoints import armed
from gateway.updates.store.partial import PartialBlob
from gateway.updates.store.store import Store
from tests.rules.tree import ROOT
from tests.updates.store.transaction import blob_of, feed, noise, open_store, put_blob

DATA = noise("partial", 4 * CHUNK_BYTES + 100)
BLOB = blob_of(DATA)


def chunk(index: int) -> bytes:
    return DATA[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]


def part(root: Path, blob: Blob = BLOB) -> Path:
    return root / "partial" / f"{blob.sha256}.part"


@pytest.mark.parametrize("size_bytes", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1])
def test_a_blob_of_any_size_comes_in_whole_and_read_only(store: Store, size_bytes: int) -> None:
    data = noise("size", size_bytes)
    blob = put_blob(store, data)
    path = store.blob_path(blob.sha256)
    assert store.has(blob)
    assert path.read_bytes() == data
    assert path.stat().st_mode & 0o777 == 0o444
    assert list((store.root / "partial").iterdir()) == []


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(5)), stops=st.sets(st.integers(0, 4)))
def test_chunks_come_in_any_order_with_any_pauses(store: Store, order: list[int], stops: set[int]) -> None:
    partial = store.partial(BLOB)
    for position, index in enumerate(order):
        partial.write(index, chunk(index))
        if position in stops:
            partial.close()
            partial = store.partial(BLOB)
        assert partial.missing() == sorted(order[position + 1 :])
    assert partial.finish().read_bytes() == DATA
    store.blob_path(BLOB.sha256).unlink()


def test_what_is_not_the_signed_chunk_is_refused_and_the_others_stay(store: Store) -> None:
    partial = store.partial(BLOB)
    partial.write(0, chunk(0))
    flipped = bytearray(chunk(1))
    flipped[500] ^= 1
    for index, data in (
        (1, bytes(flipped)),
        (1, chunk(1)[:-1]),
        (1, chunk(1) + b"x"),
        (1, b""),
        (4, chunk(3)),
    ):
        with pytest.raises(FetchRefused) as caught:
            partial.write(index, data)
        assert caught.value.attributes["chunk"] == index
    for index in (-1, 5, 1 << 60):
        with pytest.raises(FetchRefused):
            partial.write(index, chunk(0))
    assert partial.missing() == [1, 2, 3, 4]
    partial.close()


def test_after_a_kill_only_missing_and_damaged_chunks_are_fetched_again(root: Path) -> None:
    script = (
        "import sys, os, signal; from pathlib import Path\n"
        "from tests.updates.store.test_partial import *\n"
        "partial = open_store(Path(sys.argv[1])).partial(BLOB)\n"
        "for index in (0, 1, 3): partial.write(index, chunk(index))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(root)], cwd=ROOT, check=False, timeout=60)
    assert ended.returncode == -9
    with part(root).open("r+b") as file:
        file.seek(CHUNK_BYTES + 77)
        file.write(b"rot")
    store = open_store(root)
    partial = store.partial(BLOB)
    assert feed(partial, DATA) == [1, 2, 4]
    partial.finish()
    store.close()


def test_a_blob_killed_after_its_sealing_goes_on(store: Store, root: Path) -> None:
    partial = store.partial(BLOB)
    feed(partial, DATA)
    partial.close()
    part(root).chmod(0o444)
    again = store.partial(BLOB)
    assert again.missing() == []
    again.finish()
    assert store.has(BLOB)


def _finish(partial: PartialBlob) -> None:
    feed(partial, DATA)
    partial.finish()


@pytest.mark.parametrize("point", ["part.fdatasync", "part.fsync", "part.write"])
def test_after_a_failed_sync_nothing_is_believed_and_a_new_file_begun(
    store: Store, root: Path, point: str
) -> None:
    partial = store.partial(BLOB)
    first = part(root).stat().st_ino
    with part(root).open("rb") as held, armed(f"{point}:error:EIO"):
        with pytest.raises(StoreFailed):
            _finish(partial)
        assert not part(root).exists()
        assert os.fstat(held.fileno()).st_nlink == 0
        again = store.partial(BLOB)
        assert part(root).stat().st_ino != first
    assert feed(again, DATA) == [0, 1, 2, 3, 4]
    again.finish()
    assert store.has(BLOB)


def test_a_full_disk_keeps_what_came(store: Store, root: Path) -> None:
    partial = store.partial(BLOB)
    partial.write(0, chunk(0))
    with armed("part.write:error:ENOSPC"), pytest.raises(DiskFull):
        partial.write(1, chunk(1))
    partial.close()
    assert store.partial(BLOB).missing() == [1, 2, 3, 4]


def test_no_room_is_said_with_numbers_and_leaves_nothing(store: Store, root: Path) -> None:
    with armed("part.allocate:error:ENOSPC"), pytest.raises(DiskFull) as caught:
        store.partial(BLOB)
    assert caught.value.attributes["needed_bytes"] == BLOB.size_bytes
    assert float(caught.value.attributes["free_bytes"]) > 0
    assert list((root / "partial").iterdir()) == []


def test_a_disk_that_gives_other_bytes_back_is_found_before_the_blob_has_its_name(
    store: Store, root: Path
) -> None:
    partial = store.partial(BLOB)
    feed(partial, DATA)
    with part(root).open("r+b") as file:
        file.write(b"rot")
    with pytest.raises(StoreFailed, match="other bytes"):
        partial.finish()
    assert not store.has(BLOB)
    assert store.partial(BLOB).missing() == [0, 1, 2, 3, 4]


def test_a_manifest_that_contradicts_itself_is_not_the_disks_fault(store: Store) -> None:
    partial = store.partial(replace(BLOB, sha256="ab" * 32))
    feed(partial, DATA)
    with pytest.raises(ManifestRefused, match="the whole is not"):
        partial.finish()


def test_an_unfinished_blob_gets_no_name(store: Store) -> None:
    partial = store.partial(BLOB)
    partial.write(0, chunk(0))
    with pytest.raises(GatewayBug):
        partial.finish()
    assert not store.has(BLOB)
    partial.close()


@pytest.mark.parametrize(
    ("size_bytes", "chunks"),
    [(-1, 0), (1 << 63, 1), (MOST_FILE_BYTES + 1, 65537), (CHUNK_BYTES + 1, 1), (CHUNK_BYTES, 2), (0, 1)],
)
def test_sizes_that_do_not_add_up_are_refused_before_anything_is_made(
    store: Store, root: Path, size_bytes: int, chunks: int
) -> None:
    with pytest.raises(ManifestRefused):
        store.partial(Blob("ab" * 32, size_bytes, ("cd" * 32,) * chunks))
    assert list((root / "partial").iterdir()) == []


def test_a_file_system_without_allocation_gets_the_size_alone(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "not here")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    put_blob(store, DATA)
    assert store.has(BLOB)


def test_bytes_are_brought_to_the_disk_every_eight_mebibytes() -> None:
    # Read anew: in the module that was imported, the tests' stores have set it to a chunk.
    assert runpy.run_path(str(partial_blobs.__file__))["SYNC_BYTES"] == 8 << 20


def test_a_blob_is_synced_before_it_gets_its_name_and_both_folders_after(
    store: Store, calls: list[str]
) -> None:
    partial = store.partial(BLOB)
    feed(partial, DATA)
    calls.clear()
    partial.finish()
    assert calls == ["fsync file", "rename", "fsync folder", "fsync folder"]


@pytest.mark.slow
def test_more_than_two_gibibytes_are_checked_to_the_last_byte(store: Store, root: Path) -> None:
    """A sparse file: all chunks but the last are zeros that need not be written."""
    last = noise("tail", 1234)
    zeros = hashlib.sha256(bytes(CHUNK_BYTES)).hexdigest()
    count = 2049
    whole = hashlib.sha256()
    for _ in range(count):
        whole.update(bytes(CHUNK_BYTES))
    whole.update(last)
    blob = Blob(
        whole.hexdigest(),
        count * CHUNK_BYTES + len(last),
        (zeros,) * count + (hashlib.sha256(last).hexdigest(),),
    )
    with part(root, blob).open("wb") as file:
        file.truncate(blob.size_bytes)
    partial = store.partial(blob)
    assert partial.missing() == [count]
    partial.write(count, last)
    path = partial.finish()
    with path.open("rb") as file:
        file.seek(count * CHUNK_BYTES)
        assert file.read() == last
    path.chmod(0o644)
    path.rename(part(root, blob))
    with part(root, blob).open("r+b") as file:
        file.seek(blob.size_bytes - 1)
        file.write(bytes([last[-1] ^ 1]))
    assert store.partial(blob).missing() == [count]
