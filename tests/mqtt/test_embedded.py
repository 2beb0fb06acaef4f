"""The broker in this process: real clients, the fall-back to MQTT 3.1.1, and its absence."""

from __future__ import annotations

import asyncio
import gc
import sys

import pytest

from gateway.errors import Unavailable
from gateway.mqtt.embedded import EmbeddedBroker
from gateway.mqtt.link import Identity, Link
from gateway.mqtt.state import ConnectionState
from gateway.mqtt.version import V311
from tests.mqtt.watch import Watch, connect, settings_for, soon


def test_a_megabyte_passes_and_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        watch = Watch()
        async with EmbeddedBroker() as broker:
            settings = settings_for(broker.url, version=broker.version)
            async with Link(settings, Identity("demo", 1, "0")) as link:
                link.data.subscribe("frames/+", 1, watch.take)
                await link.wait_connected(soon())
                await link.data.wait_settled(soon())
                await link.data.publish_confirmed("frames/a", b"x" * 1_000_000, soon())
                link.data.publish("frames/a", b"small")
                await watch.until(lambda: len(watch.messages) == 2)
        assert [len(payload) for payload in watch.payloads] == [1_000_000, 5]

    gc.collect()  # what tests before this one left says its last words before, not in the midst
    caplog.clear()
    asyncio.run(scenario())
    assert caplog.records == []


# amqtt leaves the socket of a client that it refused open when that client was faster to go.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_broker_that_knows_3_1_1_alone_is_found_without_being_told() -> None:
    async def scenario() -> None:
        watch = Watch()
        async with (
            EmbeddedBroker() as broker,
            connect(settings_for(broker.url, connect_timeout_s=1.0), watch) as connection,
        ):
            await connection.wait_connected(soon())
            assert connection.version == V311
        assert [state for state, _ in watch.states[:3]] == [
            ConnectionState.CONNECTING,
            ConnectionState.OFFLINE,
            ConnectionState.CONNECTING,
        ]
        assert "next with MQTT 3.1.1" in watch.states[1][1]

    asyncio.run(scenario())
    gc.collect()  # so that its warning comes here and not in the next test


def test_without_amqtt_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with EmbeddedBroker():
            pass

    monkeypatch.setitem(sys.modules, "amqtt.broker", None)
    with pytest.raises(Unavailable, match=r"\[demo\]"):
        asyncio.run(scenario())
