"""Whole releases into a real store: patches where they save, whole files where they do not, nothing twice."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.errors import DiskFull, FetchFailed, FetchRefused, StoreFailed
from gateway.updates.manifest import DELTA_ALGORITHM, manifest_bytes
from gateway.updates.release import CHUNK_BYTES, Blob, Delta, Release, ReleaseFile
from gateway.updates.store.store import Store
from gateway.updates.transport import acquire
from gateway.updates.transport.acquire import Acquirer, DeltaPolicy, Goal, PatchRules
from gateway.updates.transport.download import Downloader, FetchLimits
from gateway.updates.transport.folder import FolderSource
from tests.updates.transport.blobs import blob_of, noise, put
from tests.updates.transport.test_delta import patch_of

OLD = noise(4 * CHUNK_BYTES)
NEW = OLD[: 3 * CHUNK_BYTES] + noise(CHUNK_BYTES // 8, seed=2)
CARD = b"name: door\n"
PATCH = patch_of(OLD, NEW, window_log=23)
QUICK = FetchLimits(rounds=2, first_pause_s=0)
ONLY, OFF = PatchRules(DeltaPolicy.ONLY), PatchRules(DeltaPolicy.OFF)


class Asked(FolderSource):
    """A folder that notes which chunks of which blob were asked for."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.asked: dict[str, list[int]] = {}

    def chunks(self, blob: Blob, wanted: Sequence[int], deadline_s: float):  # type: ignore[no-untyped-def]  # noqa: ANN201
        self.asked.setdefault(blob.sha256, []).extend(wanted)
        return super().chunks(blob, wanted, deadline_s)


@pytest.fixture
def source(tmp_path: Path) -> Asked:
    folder = tmp_path / "repository"
    folder.mkdir()
    for data in (OLD, NEW, CARD, PATCH):
        put(folder, data)
    return Asked(folder)


def release(number: int, weights: bytes, *patches: bytes, start: bytes = OLD) -> tuple[Release, bytes]:
    """Return a release with its manifest; the patches lead from ``start``."""
    deltas = tuple(
        Delta(hashlib.sha256(start).hexdigest(), blob_of(weights).sha256, DELTA_ALGORITHM, blob_of(patch))
        for patch in patches
    )
    files = (ReleaseFile("card.yaml", blob_of(CARD)), ReleaseFile("model.tflite", blob_of(weights)))
    made = Release("door", number, f"{number}", "tflite", files, deltas=deltas)
    return made, manifest_bytes(made)


def get(
    store: Store,
    source: FolderSource,
    wanted: tuple[Release, bytes],
    rules: PatchRules | None = None,
    told: list[tuple[int, int]] | None = None,
) -> bytes:
    """Acquire a release and return its weights."""
    told = [] if told is None else told
    goal = Goal(time.monotonic() + 20, threading.Event(), lambda done, total: told.append((done, total)))
    folder = Acquirer(store, Downloader([source], QUICK), rules).acquire(*wanted, goal)
    return (folder / "model.tflite").read_bytes()


def test_a_release_is_brought_whole_and_told_of(store: Store, source: Asked) -> None:
    told: list[tuple[int, int]] = []
    wanted = release(1, OLD)
    assert get(store, source, wanted, told=told) == OLD
    assert told[-1] == (wanted[0].size_bytes, wanted[0].size_bytes)
    asked = dict(source.asked)
    assert get(store, source, wanted, told=told) == OLD
    assert source.asked == asked, "nothing is asked for twice"


@pytest.mark.parametrize("rules", [None, ONLY], ids=["auto", "only"])
def test_a_patch_is_taken_where_its_start_is_here(
    store: Store, source: Asked, rules: PatchRules | None
) -> None:
    get(store, source, release(1, OLD))
    told: list[tuple[int, int]] = []
    assert get(store, source, release(2, NEW, PATCH), rules, told) == NEW
    assert blob_of(NEW).sha256 not in source.asked
    assert blob_of(PATCH).sha256 in source.asked
    assert told[-1] == (len(NEW) + len(CARD), len(NEW) + len(CARD))


def test_no_patch_is_taken_when_told_so_or_when_its_start_is_not_here(store: Store, source: Asked) -> None:
    assert get(store, source, release(2, NEW, PATCH)) == NEW
    get(store, source, release(3, OLD))
    store.blob_path(blob_of(NEW).sha256).unlink()
    assert get(store, source, release(4, NEW, PATCH), OFF) == NEW
    assert blob_of(PATCH).sha256 not in source.asked


def test_a_patch_that_would_take_too_much_memory_is_passed_over(store: Store, source: Asked) -> None:
    get(store, source, release(1, OLD))
    assert get(store, source, release(2, NEW, PATCH), PatchRules(memory_bytes=1 << 20)) == NEW
    assert blob_of(PATCH).sha256 not in source.asked


def test_a_metered_link_may_use_half_of_what_memory_is_free(
    store: Store, source: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    get(store, source, release(1, OLD))
    monkeypatch.setattr(acquire, "_free_memory_bytes", lambda: 12 << 20)
    with pytest.raises(FetchRefused, match=r"updates\.deltas is only"):
        get(store, source, release(2, NEW, PATCH), ONLY)
    monkeypatch.undo()
    small = PatchRules(DeltaPolicy.ONLY, memory_bytes=1)
    assert get(store, source, release(2, NEW, PATCH), small) == NEW


def test_a_metered_link_fetches_small_files_whole_and_refuses_large_ones(store: Store, source: Asked) -> None:
    with pytest.raises(FetchRefused, match=r"updates\.deltas is only"):
        get(store, source, release(1, OLD), ONLY)
    assert source.asked.keys() == {blob_of(CARD).sha256}


def test_a_patch_is_not_taken_when_less_than_it_is_missing(store: Store, source: Asked) -> None:
    get(store, source, release(1, OLD))
    incoming = store.partial(blob_of(NEW))
    for index in range(3):
        incoming.write(index, NEW[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES])
    incoming.close()
    larger = patch_of(OLD, NEW, window_log=23) + b"\x50\x2a\x4d\x18\xff\xff\x01\x00" + bytes(0x1FFFF)
    put(Path(source.name), larger)
    assert get(store, source, release(2, NEW, larger)) == NEW
    assert source.asked[blob_of(NEW).sha256] == [3]
    assert blob_of(larger).sha256 not in source.asked


@pytest.mark.parametrize("bad", [b"rubbish", patch_of(OLD, OLD[::-1][:5000]), PATCH[:-4]])
def test_a_bad_patch_costs_its_bytes_and_no_more(store: Store, source: Asked, bad: bytes) -> None:
    put(Path(source.name), bad)
    get(store, source, release(1, OLD))
    with pytest.raises(FetchRefused):
        get(store, source, release(2, NEW, bad), ONLY)
    assert get(store, source, release(2, NEW, bad)) == NEW


def test_a_patch_that_is_nowhere_is_passed_over(store: Store, source: Asked) -> None:
    get(store, source, release(1, OLD))
    assert get(store, source, release(2, NEW, b"nowhere")) == NEW


def test_what_does_not_fit_is_refused_before_anything_is_asked_for(store: Store, source: Asked) -> None:
    store.quota_bytes = 2 * CHUNK_BYTES
    with pytest.raises(DiskFull) as caught:
        get(store, source, release(1, OLD))
    assert caught.value.attributes["needed_bytes"] == len(OLD) + len(CARD)
    assert source.asked == {}


def test_a_declared_size_beyond_any_disk_is_refused_before_anything_is_asked_for(
    store: Store, source: Asked
) -> None:
    size = 60 << 30
    huge = Blob("ab" * 32, size, ("0" * 64,) * (size // CHUNK_BYTES))
    made = Release("door", 1, "1", "tflite", (ReleaseFile("model.tflite", huge),))
    with pytest.raises(DiskFull):
        get(store, source, (made, b"{}"))
    assert source.asked == {}


def test_a_blob_that_rotted_is_fetched_again_once_and_then_told(store: Store, source: Asked) -> None:
    get(store, source, release(1, OLD))
    kept = store.blob_path(blob_of(OLD).sha256)
    kept.chmod(0o644)
    with kept.open("r+b") as file:
        file.write(b"rot")
    kept.chmod(0o444)
    before = len(source.asked[blob_of(OLD).sha256])
    assert get(store, source, release(2, OLD)) == OLD
    assert len(source.asked[blob_of(OLD).sha256]) == 2 * before


def test_a_fetch_that_is_stopped_ends_between_chunks(store: Store, source: Asked) -> None:
    stop = threading.Event()
    goal = Goal(time.monotonic() + 20, stop, lambda done, _: stop.set() if done > CHUNK_BYTES else None)
    with pytest.raises(FetchFailed, match="stopped"):
        Acquirer(store, Downloader([source], QUICK)).acquire(*release(1, OLD), goal)
    with pytest.raises(StoreFailed):
        store.manifest("door", 1)
