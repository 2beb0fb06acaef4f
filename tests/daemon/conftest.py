"""A real model store for what decides about releases, and a real broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.updates.store.store import Store
from tests.broker import Broker
from tests.updates.store.transaction import open_store


@pytest.fixture(name="store")
def _store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(tmp_path / "models")
    yield store
    store.close()


@pytest.fixture(name="broker")
def _broker() -> Iterator[Broker]:
    with Broker() as running:
        yield running
