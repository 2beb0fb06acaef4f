"""The file system of a test: what was synced outlives a power cut, what was not is gone."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.ext4 import Disk, mounted
from tests.faults.needs import LOOP, ROOT_USER, missing


@pytest.fixture(name="disk")
def _disk(tmp_path: Path) -> Iterator[Disk]:
    lacking = missing((ROOT_USER, LOOP, "mkfs.ext4"))
    if lacking:
        pytest.skip(f"NOT TRIED, for {', '.join(lacking)} is not there")
    with mounted(tmp_path) as disk:
        yield disk


def write(path: Path, *, sync: bool) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"kept" * 1000)
    if sync:
        os.fsync(fd)
    os.close(fd)


def test_a_synced_file_outlives_a_shutdown_and_another_does_not(disk: Disk) -> None:
    write(disk.folder / "synced", sync=True)
    write(disk.folder / "not", sync=False)
    disk.shutdown()
    disk.remount()
    assert (disk.folder / "synced").read_bytes() == b"kept" * 1000
    assert not (disk.folder / "not").exists()


def test_after_a_shutdown_nothing_can_be_written(disk: Disk) -> None:
    disk.shutdown()
    with pytest.raises(OSError, match="error") as caught:
        write(disk.folder / "late", sync=True)
    assert caught.value.errno == errno.EIO


def test_a_disk_that_turned_read_only_is_read_and_not_written(disk: Disk) -> None:
    write(disk.folder / "synced", sync=True)
    disk.abort()
    assert (disk.folder / "synced").read_bytes() == b"kept" * 1000
    with pytest.raises(OSError, match="Read-only") as caught:
        write(disk.folder / "late", sync=True)
    assert caught.value.errno == errno.EROFS


def test_it_is_unmounted_whatever_happens(tmp_path: Path) -> None:
    lacking = missing((ROOT_USER, LOOP, "mkfs.ext4"))
    if lacking:
        pytest.skip(f"NOT TRIED, for {', '.join(lacking)} is not there")

    def stumble() -> None:
        with mounted(tmp_path) as disk:
            assert os.path.ismount(disk.folder)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stumble()
    assert not os.path.ismount(tmp_path / "disk")
