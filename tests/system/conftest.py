"""One broker for each test of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broker import Broker
from tests.system.author import Author
from tests.system.releases import Frames
from tests.system.running import Client


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker("log_type subscribe") as running:  # `subscribed` reads them
        yield running


@pytest.fixture
def client(broker: Broker) -> Iterator[Client]:
    with Client(broker.port) as connected:
        yield connected


@pytest.fixture
def author(tmp_path: Path) -> Author:
    return Author(tmp_path)


@pytest.fixture
def frames(client: Client) -> Frames:
    client.subscribe("gw/test/results/#")
    return Frames(client)
