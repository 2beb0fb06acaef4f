"""The store as a whole: its lock, its child, its room, its recovery."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.errors import DiskFull, StoreBusy, StoreFailed
from gateway.updates.release import CHUNK_BYTES
from gateway.updates.state import ModelRecord
from gateway.updates.store.ballast import BALLAST_BYTES
from gateway.updates.store.store import Store
from tests.rules.tree import ROOT
from tests.updates.store.transaction import (
    MODEL,
    contents,
    feed,
    fetch,
    install,
    noise,
    open_store,
    put_blob,
    ref_of,
    release_of,
    stage,
)


def test_the_second_who_opens_it_is_told_who_has_it(store: Store) -> None:
    with pytest.raises(StoreBusy) as caught:
        open_store(store.root)
    assert caught.value.attributes["pid"] == os.getpid()
    store.close()
    store.close()
    open_store(store.root).close()


def test_another_process_does_not_get_in_and_the_death_of_the_first_lets_it(root: Path) -> None:
    words = (
        "import sys; from pathlib import Path; from tests.updates.store.transaction import *\n"
        "store = open_store(Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", words, str(root)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(StoreBusy, match=str(other.pid)):
            open_store(root)
        other.kill()
        other.wait()
    open_store(root).close()


def test_a_child_that_was_given_the_lock_writes_blobs_and_keeps_it_when_the_daemon_dies(store: Store) -> None:
    words = (
        "import sys; from pathlib import Path; from tests.updates.store.transaction import *\n"
        "root, fd = Path(sys.argv[1]), int(sys.argv[2])\n"
        "store = Store.open(root, quota_bytes=1 << 30, reserve_bytes=0, lock_fd=fd)\n"
        "stage(store, 1); print('staged', flush=True); sys.stdin.read()\n"
    )
    (store.root / "state" / ".tmp-door.json").write_bytes(b"the daemon is just writing this")
    with subprocess.Popen(
        [sys.executable, "-c", words, str(store.root), str(store.lock_fd)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=(store.lock_fd,),
    ) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        assert child.stdout.readline() == "staged\n"
        assert (store.root / "state" / ".tmp-door.json").exists(), "the child clears nothing away"
        store.verify(MODEL, ref_of(release_of(1)))
        store.close()
        with pytest.raises(StoreBusy):
            open_store(store.root)
        child.stdin.close()
        assert child.wait() == 0
    again = open_store(store.root)
    assert not (store.root / "state" / ".tmp-door.json").exists()
    again.close()


def test_the_lock_does_not_leak_into_other_processes(store: Store) -> None:
    assert not os.get_inheritable(store.lock_fd)


def test_a_descriptor_that_is_not_the_lock_is_refused(store: Store, tmp_path: Path) -> None:
    with (tmp_path / "other").open("w") as other, pytest.raises(StoreFailed, match="not this lock"):
        Store.open(store.root, quota_bytes=1, reserve_bytes=0, lock_fd=other.fileno())


def test_a_descriptor_of_the_lock_that_does_not_hold_it_is_refused(store: Store) -> None:
    with store.layout.lock.open() as other, pytest.raises(StoreBusy):
        Store.open(store.root, quota_bytes=1, reserve_bytes=0, lock_fd=other.fileno())


def test_a_lock_file_that_was_exchanged_is_no_way_in_for_two(store: Store) -> None:
    store.layout.lock.rename(store.root / "LOCK.old")
    other = open_store(store.root)  # the first holds a file that is the store's lock no more
    with (store.root / "LOCK").open() as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    other.close()


def test_a_relative_or_linked_folder_is_one_store(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(store.root)
    monkeypatch.chdir(tmp_path)
    for root in (Path("models"), tmp_path / "link"):
        with pytest.raises(StoreBusy):
            open_store(root)


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "models").write_bytes(b"")
    with pytest.raises(StoreFailed):
        open_store(tmp_path / "models")


def test_folders_are_the_gateways_alone(store: Store) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in store.root.iterdir() if path.is_dir()}
    assert modes == {
        "trust": 0o700,
        "blobs": 0o750,
        "partial": 0o700,
        "releases": 0o750,
        "state": 0o700,
        "current": 0o750,
    }
    assert store.root.stat().st_mode & 0o777 == 0o750
    assert store.trust_folder == store.root / "trust"


def test_leftovers_go_when_the_store_is_opened_and_trust_and_chunks_stay(store: Store) -> None:
    stage(store, 1)
    partial = store.partial(release_of(2).files[0].blob)
    partial.write(0, contents(2)["weights.tflite"][:CHUNK_BYTES])
    partial.close()
    for name in ("state/.tmp-door.json", "releases/door/.tmp-2/golden/x", "releases/door/.tmp-gc-3/y"):
        (store.root / name).parent.mkdir(parents=True, exist_ok=True)
        (store.root / name).write_bytes(b"?")
    (store.trust_folder / "gen-7").mkdir()
    (store.trust_folder / ".tmp-gen-8").mkdir()
    store.close()
    again = open_store(store.root)
    assert [path.name for path in again.root.rglob(".tmp-*")] == [".tmp-gen-8"]
    assert (again.trust_folder / "gen-7").is_dir()
    assert again.partial(release_of(2).files[0].blob).missing() == [1]
    again.verify(MODEL, ref_of(release_of(1)))
    again.close()


def test_links_for_people_follow_the_active_release(store: Store) -> None:
    link = store.root / "current" / MODEL
    for number in (1, 2):
        install(store, number)
        assert link.resolve() == store.release_folder(MODEL, number)
    link.unlink()
    link.symlink_to("/etc")
    (store.root / "current" / "gone").symlink_to("../releases/gone/1")
    store.close()
    again = open_store(store.root)
    assert link.resolve() == again.release_folder(MODEL, 2)
    assert not (again.root / "current" / "gone").is_symlink()
    held = again.record(MODEL)
    again.commit(ModelRecord(MODEL, held.seq + 1, floor=held.floor))
    assert not link.is_symlink()
    again.close()


@pytest.fixture(name="free")
def _free(store: Store) -> int:
    disk = os.statvfs(store.root)
    return disk.f_bavail * disk.f_frsize


def test_what_exceeds_the_quota_is_refused_with_numbers(store: Store) -> None:
    put_blob(store, noise("big", 3 << 20))
    store.quota_bytes = 8 << 20
    room = store.quota_bytes - store.usage().store_bytes
    store.preflight(room)
    with pytest.raises(DiskFull, match="quota") as caught:
        store.preflight(room + 1)
    assert caught.value.attributes == {"needed_bytes": room + 1, "free_bytes": room}


def test_what_exceeds_the_disk_is_refused_with_numbers(store: Store, free: int) -> None:
    store.quota_bytes = 1 << 62
    with pytest.raises(DiskFull, match="disk") as caught:
        store.preflight(free)
    assert 0 <= float(caught.value.attributes["free_bytes"]) < free
    store.reserve_bytes = 1 << 62
    with pytest.raises(DiskFull) as caught:
        store.preflight(1)
    assert caught.value.attributes["free_bytes"] == 0
    store.preflight(0)  # nothing to fetch needs no room


def test_a_store_over_its_quota_has_no_room_not_less_than_none(store: Store) -> None:
    store.quota_bytes = 1
    with pytest.raises(DiskFull) as caught:
        store.preflight(1)
    assert caught.value.attributes["free_bytes"] == 0


def test_room_is_needed_for_blobs_that_are_neither_there_nor_begun(store: Store) -> None:
    release = release_of(1)
    assert store.needed_bytes(release) == release.size_bytes
    partial = store.partial(release.files[0].blob)
    assert store.needed_bytes(release) == release.size_bytes - release.files[0].blob.size_bytes
    feed(partial, contents(1)["weights.tflite"])
    partial.finish()
    fetch(store, 1)
    assert store.needed_bytes(release) == 0


def test_hard_links_count_once(store: Store) -> None:
    before = store.usage().store_bytes
    fetch(store, 1)
    middle = store.usage().store_bytes
    stage(store, 1)
    assert middle - before > CHUNK_BYTES
    assert store.usage().store_bytes - middle < 64 << 10


def test_the_ballast_is_there_and_real(store: Store) -> None:
    facts = store.layout.ballast.stat()
    assert (facts.st_size, facts.st_blocks * 512 >= BALLAST_BYTES) == (BALLAST_BYTES, True)
