"""Patches: what the command zstd makes is understood, and nothing worse is believed."""

from __future__ import annotations

import random
import shutil
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import FetchRefused, StoreFailed
from gateway.updates.manifest import DELTA_ALGORITHM
from gateway.updates.packing.patches import make_patches
from gateway.updates.release import CHUNK_BYTES, Blob, Delta, Release, ReleaseFile
from gateway.updates.store.store import Store
from gateway.updates.transport.delta import apply, can_patch, memory_bytes
from tests.updates.transport.blobs import blob_of, noise

OLD = noise(2 * CHUNK_BYTES + 500)
NEW = OLD[: 2 * CHUNK_BYTES] + noise(700, seed=2) + OLD[:100]
ZSTD = shutil.which("zstd")


class Kept:
    """Takes chunks as a store does, without a disk."""

    def __init__(self, blob: Blob) -> None:
        self.blob = blob
        self.data = b""

    def missing(self) -> list[int]:
        return list(range(len(self.blob.chunks)))

    def write(self, index: int, data: bytes | memoryview) -> None:
        if blob_of(bytes(data)).chunks != (self.blob.chunks[index],):
            raise FetchRefused("not what was signed", chunk=index)
        self.data += bytes(data)


def patch_of(old: bytes, new: bytes, *, sized: bool = True, window_log: int = 22) -> bytes:
    """Make a patch as a packer does."""
    dictionary = zstandard.ZstdCompressionDict(old, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    how = zstandard.ZstdCompressionParameters.from_level(
        19, window_log=window_log, enable_ldm=True, write_content_size=sized
    )
    maker = zstandard.ZstdCompressor(dict_data=dictionary, compression_params=how)
    if sized:
        return maker.compress(new)
    parts = maker.compressobj()
    return parts.compress(new) + parts.flush()


def put_together(folder: Path, old: bytes, patch: bytes, blob: Blob) -> bytes:
    """Apply a patch and return what came out."""
    (folder / "old").write_bytes(old)
    (folder / "patch").write_bytes(patch)
    kept = Kept(blob)
    apply(delta_of(patch, blob), folder / "old", folder / "patch", blob, kept)
    return kept.data


def delta_of(patch: bytes, blob: Blob) -> Delta:
    return Delta("0" * 64, blob.sha256, DELTA_ALGORITHM, blob_of(patch))


def test_zstandard_is_here_and_is_found() -> None:
    assert can_patch()


@pytest.mark.parametrize("sized", [True, False])
def test_a_patch_makes_the_new_blob_and_is_small(tmp_path: Path, sized: bool) -> None:
    patch = patch_of(OLD, NEW, sized=sized)
    assert len(patch) < 3000
    assert put_together(tmp_path, OLD, patch, blob_of(NEW)) == NEW


@pytest.mark.parametrize("level", ["-3", "-19", "--ultra -22 --long=27"])
def test_what_the_command_zstd_makes_is_understood(tmp_path: Path, level: str) -> None:
    if ZSTD is None:
        pytest.skip("THE COMMAND zstd IS NOT INSTALLED: its own patches were not tried")
    (tmp_path / "a").write_bytes(OLD)
    (tmp_path / "b").write_bytes(NEW)
    command = [
        ZSTD,
        "-q",
        *level.split(),
        f"--patch-from={tmp_path}/a",
        f"{tmp_path}/b",
        "-o",
        f"{tmp_path}/p",
    ]
    subprocess.run(command, check=True, capture_output=True)
    assert put_together(tmp_path, OLD, (tmp_path / "p").read_bytes(), blob_of(NEW)) == NEW


def test_what_our_packer_makes_is_understood(tmp_path: Path) -> None:
    old, new, made = (tmp_path / name for name in ("old", "new", "made"))
    files = []
    for folder, data in ((old, OLD), (new, NEW)):
        folder.mkdir()
        (folder / "model.tflite").write_bytes(data)
        files.append(ReleaseFile("model.tflite", blob_of(data)))
    before = Release("door", 1, "1", "tflite", (files[0],))
    (patched,) = make_patches((old, before), (new, files[1:]), made)
    assert patched.delta is not None
    patch = (made / patched.delta.blob.sha256).read_bytes()
    assert put_together(tmp_path / "made", OLD, patch, blob_of(NEW)) == NEW


def test_chunks_go_into_a_real_store(tmp_path: Path, store: Store) -> None:
    patch, blob = patch_of(OLD, NEW), blob_of(NEW)
    (tmp_path / "old").write_bytes(OLD)
    (tmp_path / "patch").write_bytes(patch)
    with closing(store.partial(blob)) as incoming:
        apply(delta_of(patch, blob), tmp_path / "old", tmp_path / "patch", blob, incoming)
        incoming.finish()
    assert store.blob_path(blob.sha256).read_bytes() == NEW


def test_a_patch_on_another_blob_than_its_own_is_refused(tmp_path: Path) -> None:
    other = bytes(reversed(OLD))
    with pytest.raises(FetchRefused):
        put_together(tmp_path, other, patch_of(OLD, NEW), blob_of(NEW))
    with pytest.raises(FetchRefused, match="empty"):
        put_together(tmp_path, b"", patch_of(OLD, NEW), blob_of(NEW))


@pytest.mark.parametrize("sized", [True, False])
def test_a_bomb_is_cut_off_at_the_signed_size(tmp_path: Path, sized: bool) -> None:
    bomb = patch_of(OLD, NEW + bytes(30 * CHUNK_BYTES), sized=sized)
    assert len(bomb) < CHUNK_BYTES
    with pytest.raises(FetchRefused, match="come out of it"):
        put_together(tmp_path, OLD, bomb, blob_of(NEW))


@pytest.mark.parametrize("sized", [True, False])
def test_too_few_bytes_are_refused(tmp_path: Path, sized: bool) -> None:
    with pytest.raises(FetchRefused, match="come out of it"):
        put_together(tmp_path, OLD, patch_of(OLD, NEW[:CHUNK_BYTES], sized=sized), blob_of(NEW))


def test_a_huge_window_is_refused_before_memory_is_taken_for_it(tmp_path: Path) -> None:
    greedy = patch_of(OLD, NEW, sized=False, window_log=27)
    assert zstandard.get_frame_parameters(greedy).window_size == 1 << 27
    with pytest.raises(FetchRefused, match="window of 134217728"):
        put_together(tmp_path, OLD, greedy, blob_of(NEW))


def test_a_file_that_is_gone_is_the_stores_fault(tmp_path: Path) -> None:
    blob = blob_of(NEW)
    with pytest.raises(StoreFailed):
        apply(delta_of(b"", blob), tmp_path / "none", tmp_path / "none", blob, Kept(blob))


def test_the_memory_of_a_patch_is_told_beforehand() -> None:
    assert memory_bytes(5_000_000, 5_000_000) == 5_000_000 + (8 << 20)
    assert memory_bytes(100 << 20, 1) == (100 << 20) + (128 << 20)


@given(st.integers(0, 2**31), st.sampled_from(["flip", "cut", "noise", "twice"]))
def test_damaged_patches_never_give_wrong_bytes(
    tmp_path_factory: pytest.TempPathFactory, seed: int, how: str
) -> None:
    old, new = OLD[:50_000], OLD[:30_000] + noise(3000, seed=3)
    draw = random.Random(seed)
    patch = bytearray(patch_of(old, new))
    if how == "flip":
        patch[draw.randrange(len(patch))] ^= 1 << draw.randrange(8)
    elif how == "cut":
        del patch[draw.randrange(len(patch)) :]
    elif how == "noise":
        patch = bytearray(draw.randbytes(draw.randrange(200)))
    else:
        patch = patch * 2
    try:
        made = put_together(tmp_path_factory.mktemp("patch"), old, bytes(patch), blob_of(new))
    except FetchRefused:
        return
    assert made == new
