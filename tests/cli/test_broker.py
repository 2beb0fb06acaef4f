"""A command's connection to the broker: what it says when there is none."""

from __future__ import annotations

import asyncio

import pytest

from gateway.cli.broker import BrokerLine
from gateway.configuration.settings import MqttSettings
from gateway.errors import NotReady
from tests.ports import free_port


def test_no_broker_is_one_error_without_the_password_that_stood_in_its_address() -> None:
    port = free_port()
    told: list[str] = []

    async def call() -> None:
        mqtt = MqttSettings(connect_timeout_s=1.0)
        line = BrokerLine(mqtt, "test", f"mqtt://ann:secret@127.0.0.1:{port}", told.append)
        async with line.up():
            raise AssertionError

    with pytest.raises(NotReady) as caught:
        asyncio.run(call())
    assert caught.value.message.startswith(f"broker mqtt://127.0.0.1:{port}: ")
    assert told
    assert caught.value.message.endswith(told[-1])
