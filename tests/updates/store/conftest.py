"""Stores that are empty, or full enough to be tried."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.updates.store.store import Store
from tests.updates.store.transaction import open_store

SIZE_BYTES = 8 << 20


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture(name="store")
def _store(root: Path) -> Iterator[Store]:
    store = open_store(root)
    yield store
    store.close()


@pytest.fixture(name="disk")
def _disk(tmp_path: Path) -> Iterator[Path]:
    """Return a small file system of its own, which is really full when it is full."""
    if os.geteuid() != 0:
        pytest.skip("a disk of one's own needs a mount, and that needs root: it was not tried")
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES},mode=755", "tmpfs", str(disk)]
    mounted = subprocess.run(command, check=False, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here, so it was not tried: {mounted.stderr}")
    try:
        yield disk
    finally:
        # Lazily: a failing test may have left a file open, and a mount that stays would trouble all others.
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.fixture(name="calls")
def _calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list in which writes, syncs and renames are noted as they come."""
    calls: list[str] = []
    pwrite, fsync, rename = os.pwrite, os.fsync, Path.rename

    def noting_pwrite(fd: int, data: bytes, place: int) -> int:
        calls.append("write")
        return pwrite(fd, data, place)

    def noting_fsync(fd: int) -> None:
        calls.append("fsync folder" if Path(f"/proc/self/fd/{fd}").is_dir() else "fsync file")
        fsync(fd)

    def noting_rename(old: Path, new: Path) -> Path:
        calls.append("rename")
        return rename(old, new)

    monkeypatch.setattr(os, "pwrite", noting_pwrite)
    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(Path, "rename", noting_rename)
    return calls
