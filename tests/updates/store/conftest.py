"""Stores that are empty, or full enough to be tried."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.updates.store.store import Store
from tests.small_disk import small_disk
from tests.updates.store.transaction import open_store

__all__ = ["small_disk"]


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture(name="store")
def _store(root: Path) -> Iterator[Store]:
    store = open_store(root)
    yield store
    store.close()


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
