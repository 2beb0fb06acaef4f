"""Fixtures of the MQTT room."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.broker import Broker
from tests.mqtt.certificates import Certificates, make_certificates


@pytest.fixture
def broker() -> Iterator[Broker]:
    """Run a mosquitto that takes anybody."""
    with Broker() as running:
        yield running


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Make one authority for the session."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))
