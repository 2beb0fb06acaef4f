"""Patches: they give the file back as boards read them, and useless ones are dropped."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from gateway.errors import PublishRefused
from gateway.updates.packing.contents import blob_of
from gateway.updates.packing.patches import LEAST_BYTES, Patched, make_patches
from gateway.updates.release import CHUNK_BYTES, Blob, Release, ReleaseFile
from gateway.updates.transport import delta as boards

RANDOM = np.random.default_rng(5)


def noise(size: int) -> bytes:
    return RANDOM.integers(0, 256, size, np.uint8).tobytes()


def made(folder: Path, files: dict[str, bytes]) -> Release:
    folder.mkdir()
    named = []
    for name, data in files.items():
        (folder / name).write_bytes(data)
        named.append(ReleaseFile(name, blob_of(folder / name)))
    return Release("m", 1, "1", "onnx", tuple(named))


def patches(tmp_path: Path, old: dict[str, bytes], new: dict[str, bytes]) -> list[Patched]:
    before = made(tmp_path / "old", old)
    after = made(tmp_path / "new", new)
    return list(
        make_patches((tmp_path / "old", before), (tmp_path / "new", after.files), tmp_path / "deltas")
    )


class Taken:
    """Takes chunks as the store of a board does."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, index: int, data: memoryview) -> None:
        assert index * CHUNK_BYTES == len(self.data)
        self.data += data


def test_a_board_makes_the_new_file_out_of_the_old_one_and_the_patch(tmp_path: Path) -> None:
    old = noise(3 * CHUNK_BYTES + 17)
    new = old[:1000] + b"inserted" + old[1000 : 3 * CHUNK_BYTES] + noise(5000)
    (patched,) = patches(tmp_path, {"m": old}, {"m": new})
    delta = patched.delta
    assert delta is not None
    assert patched.saving > 0.99
    into = Taken()
    place = tmp_path / "deltas" / delta.blob.sha256
    wanted = Blob(delta.to_sha256, len(new), ())
    boards.apply(delta, tmp_path / "old" / "m", place, wanted, into)  # type: ignore[arg-type]
    assert hashlib.sha256(into.data).hexdigest() == delta.to_sha256
    assert into.data == new


def test_a_patch_that_saves_too_little_is_dropped_and_said(tmp_path: Path) -> None:
    (patched,) = patches(tmp_path, {"m": noise(50_000)}, {"m": noise(50_000)})
    assert patched.delta is None
    assert patched.patch_bytes > 49_000
    assert not (tmp_path / "deltas").exists()


def test_unchanged_files_small_files_and_new_files_get_no_patch(tmp_path: Path) -> None:
    same, small, large = noise(20_000), noise(LEAST_BYTES - 1), noise(30_000)
    old = {"same": same, "small": small, "large": large}
    new = {"same": same, "small": small[::-1], "more": large[:10_000], "large": large}
    assert patches(tmp_path, old, new) == []


def test_a_model_that_changed_its_name_is_patched_from_the_one_before(tmp_path: Path) -> None:
    old = noise(40_000)
    (patched,) = patches(tmp_path, {"a.tflite": old, "l": b""}, {"b.tflite": old + b"more", "l": b""})
    assert patched.path == "b.tflite"
    assert patched.delta is not None


def test_an_earlier_release_that_was_changed_is_refused(tmp_path: Path) -> None:
    before = made(tmp_path / "old", {"m": noise(20_000)})
    after = made(tmp_path / "new", {"m": noise(20_000)})
    (tmp_path / "old" / "m").write_bytes(noise(20_000))
    with pytest.raises(PublishRefused, match="is not what its manifest says"):
        list(make_patches((tmp_path / "old", before), (tmp_path / "new", after.files), tmp_path / "deltas"))
