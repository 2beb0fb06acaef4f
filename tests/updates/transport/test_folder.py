"""The folder source: what an honest folder gives, and what a planted one does not."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.errors import FetchFailed, FetchRefused
from gateway.updates.release import CHUNK_BYTES, Blob
from gateway.updates.transport.folder import READY_FILE, FolderSource
from tests.updates.transport.blobs import noise, part_of, put

DATA = noise(2 * CHUNK_BYTES + 5)


def soon() -> float:
    return time.monotonic() + 20


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - descriptors are no paths


def test_files_and_chunks_are_read_and_nothing_stays_open(tmp_path: Path) -> None:
    blob = put(tmp_path, DATA)
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata/timestamp.json").write_bytes(b"{}")
    before = open_files()
    source = FolderSource(tmp_path)
    assert source.read("metadata/timestamp.json", 2, soon()) == b"{}"
    assert dict(source.chunks(blob, [0, 2], soon())) == {0: part_of(DATA, 0), 2: part_of(DATA, 2)}
    begun = source.chunks(blob, [0, 1], soon())
    next(begun)
    begun.close()
    assert open_files() == before


def test_what_is_not_there_is_missing_and_a_missing_folder_is_a_failure(tmp_path: Path) -> None:
    for path in ("metadata/2.root.json", "nothing"):
        with pytest.raises(FetchRefused) as caught:
            FolderSource(tmp_path).read(path, 10, soon())
        assert caught.value.attributes["missing"] == 1
    with pytest.raises(FetchFailed):
        FolderSource(tmp_path / "unplugged").read("nothing", 10, soon())


def test_more_than_was_asked_for_is_never_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(FetchRefused, match="longer than 10"):
        FolderSource(tmp_path).read("sparse", 10, soon())
    # Files of the kernel say that they are empty, and are not.
    with pytest.raises(FetchRefused, match="longer than 10"):
        FolderSource(Path("/proc/self")).read("status", 10, soon())


@pytest.mark.parametrize("path", ["", "/", "../x", "a/../../x", "./x", "a//x", "/etc/passwd", "a/", ".."])
def test_a_path_that_leads_out_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(FetchRefused, match="no path below"):
        FolderSource(tmp_path / "a").read(path, 1000, soon())


def link(at: Path) -> None:
    at.symlink_to("/etc/passwd")


def dangling(at: Path) -> None:
    at.symlink_to(at.parent / "nowhere")


def pipe(at: Path) -> None:
    os.mkfifo(at)


def folder(at: Path) -> None:
    at.mkdir()


def bound_socket(at: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        here = os.open(at.parent, os.O_RDONLY)
        sock.bind(f"/proc/self/fd/{here}/{at.name}")  # the path itself may be too long for a socket's name
        os.close(here)


def device(at: Path) -> None:
    if os.geteuid():
        pytest.skip("ONLY ROOT MAKES DEVICES: this planting was not tried")
    os.mknod(at, 0o020666, os.makedev(1, 5))


PLANT = pytest.mark.parametrize("plant", [link, dangling, pipe, folder, bound_socket, device])


@PLANT
def test_what_is_planted_in_place_of_a_file_is_refused(tmp_path: Path, plant: Callable[[Path], None]) -> None:
    (tmp_path / "metadata").mkdir()
    plant(tmp_path / "metadata/root.json")
    before = open_files()
    with pytest.raises(FetchRefused) as caught:
        FolderSource(tmp_path).read("metadata/root.json", 100_000, soon())
    assert "missing" not in caught.value.attributes
    assert open_files() == before


@PLANT
def test_what_is_planted_in_place_of_the_ready_file_makes_no_inbox_ready(
    tmp_path: Path, plant: Callable[[Path], None]
) -> None:
    plant(tmp_path / READY_FILE)
    assert not FolderSource(tmp_path).is_ready


def test_an_inbox_is_ready_once_the_ready_file_lies_there(tmp_path: Path) -> None:
    inbox = FolderSource(tmp_path)
    before = inbox.is_ready
    (tmp_path / READY_FILE).touch()
    assert (before, inbox.is_ready) == (False, True)
    assert not FolderSource(tmp_path / "none").is_ready


def test_a_folder_that_is_a_link_is_refused_but_the_root_may_be_one(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    blob = put(real, DATA)
    (tmp_path / "stick").symlink_to(real)
    assert dict(FolderSource(tmp_path / "stick").chunks(blob, [0], soon()))
    other = tmp_path / "other"
    other.mkdir()
    (other / "blobs").symlink_to(real / "blobs")
    with pytest.raises(FetchRefused, match="is a link"):
        dict(FolderSource(other).chunks(blob, [0], soon()))


@pytest.mark.parametrize("change", [-1, 1])
def test_a_blob_of_another_size_is_refused(tmp_path: Path, change: int) -> None:
    blob = put(tmp_path, DATA)
    with (tmp_path / "blobs" / blob.sha256).open("r+b") as file:
        file.truncate(blob.size_bytes + change)
    with pytest.raises(FetchRefused, match="were signed"):
        dict(FolderSource(tmp_path).chunks(blob, [0], soon()))


def test_a_blob_beyond_four_gigabytes_is_read_at_its_places(tmp_path: Path) -> None:
    size = (4 << 30) + 10
    blob = Blob("ab" * 32, size, ("0" * 64,) * 4097)
    (tmp_path / "blobs").mkdir()
    with (tmp_path / "blobs" / blob.sha256).open("wb") as file:
        file.truncate(size)
        file.seek(4 << 30)
        file.write(b"0123456789")
    got = dict(FolderSource(tmp_path).chunks(blob, [4095, 4096], soon()))
    assert got == {4095: bytes(CHUNK_BYTES), 4096: b"0123456789"}


def test_the_deadline_counts_for_folders_too(tmp_path: Path) -> None:
    blob = put(tmp_path, DATA)
    source = FolderSource(tmp_path)
    with pytest.raises(FetchFailed, match="deadline"):
        dict(source.chunks(blob, [0], time.monotonic() - 1))
    with pytest.raises(FetchFailed, match="deadline"):
        source.read(f"blobs/{blob.sha256}", 1 << 30, time.monotonic() - 1)
