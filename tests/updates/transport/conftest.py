"""Fixtures of the transport room."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.updates.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Open a real store."""
    opened = Store.open(tmp_path / "store", quota_bytes=1 << 30, reserve_bytes=0)
    yield opened
    opened.close()
