"""Stores that are empty, or full enough to be tried."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.updates.store.store import Store
from tests.updates.store.transaction import open_store


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture(name="store")
def _store(root: Path) -> Iterator[Store]:
    store = open_store(root)
    yield store
    store.close()
