"""Fixtures of the updater's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.updates.transport.static_server import StaticServer
from tests.updates.updater_world import World, world


@pytest.fixture
def board(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


@pytest.fixture
def server(board: World) -> Iterator[StaticServer]:
    with StaticServer(board.folder) as running:
        yield running
