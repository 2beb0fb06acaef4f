"""What is sent while the broker is there, away, slow or strict."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import DeadlineExceeded, Overloaded
from gateway.mqtt.message import PublishProperties
from gateway.mqtt.state import ConnectionState
from tests.broker import Broker
from tests.mqtt.scripted import packets, scripted
from tests.mqtt.watch import Watch, connect, settings_for, soon
from tests.proxy import Proxy

BOTH = pytest.mark.parametrize("version", ["5", "3.1.1"])


@BOTH
def test_a_cut_wire_is_mended_and_what_was_sent_meanwhile_follows_in_order(
    broker: Broker, version: str
) -> None:
    async def scenario() -> None:
        watch, far = Watch(), Watch()
        async with Proxy(broker.port) as proxy, connect(settings_for(broker.url), far, "far") as witness:
            witness.subscribe("results/#", 1, far.take)
            await witness.wait_settled(soon())
            async with connect(settings_for(proxy.url, version=version), watch) as connection:
                await connection.wait_connected(soon())
                await proxy.stop()
                await watch.state(ConnectionState.OFFLINE)
                for index in range(200):
                    assert connection.publish("results/x", str(index).encode(), index % 2)
                assert connection.stats.waiting == 200
                await proxy.start()
                await far.until(lambda: len(far.messages) >= 200)
                assert connection.stats.waiting == 0
        assert far.payloads == [str(index).encode() for index in range(200)]
        assert watch.drops == []

    asyncio.run(scenario())


def test_while_the_broker_is_away_the_oldest_messages_go_and_are_counted(broker: Broker) -> None:
    async def scenario() -> None:
        watch, far = Watch(), Watch()
        async with Proxy(broker.port) as proxy, connect(settings_for(broker.url), far, "far") as witness:
            witness.subscribe("results", 0, far.take)
            await witness.wait_settled(soon())
            await proxy.stop()
            async with connect(settings_for(proxy.url, outgoing_messages=10), watch) as connection:
                for index in range(25):
                    assert connection.publish("results", str(index).encode())
                assert watch.drops == [("queue_full", "results")] * 15
                await proxy.start()
                await far.until(lambda: far.payloads[-1:] == [b"24"])
        assert far.payloads == [str(index).encode() for index in range(15, 25)]

    asyncio.run(scenario())


def test_a_message_that_waited_past_its_life_is_not_sent(broker: Broker) -> None:
    async def scenario() -> None:
        watch = Watch()
        broker.kill()
        async with connect(settings_for(broker.url), watch) as connection:
            connection.publish("results", b"short-lived", properties=PublishProperties(expiry_s=0))
            broker.start()
            await watch.until(lambda: watch.drops == [("expired", "results")])

    asyncio.run(scenario())


def test_a_confirmed_publish_tells_when_there_is_nobody_to_confirm(broker: Broker) -> None:
    async def scenario() -> None:
        broker.kill()
        settings = settings_for(broker.url, outgoing_messages=1, outgoing_bytes=4096)
        async with connect(settings) as connection:
            with pytest.raises(DeadlineExceeded):
                await connection.publish_confirmed("t", b"x", 0.0)
            with pytest.raises(Overloaded):
                await connection.publish_confirmed("t", b"x" * 5000, soon())
            waiting = asyncio.ensure_future(connection.publish_confirmed("t", b"x", soon()))
            await asyncio.sleep(0)
            connection.publish("t", b"newer")
            with pytest.raises(Overloaded):
                await waiting
            with pytest.raises(DeadlineExceeded):
                await connection.wait_connected(0.0)

    asyncio.run(scenario())


def test_a_message_confirmed_by_nobody_before_the_cut_is_confirmed_after_it(broker: Broker) -> None:
    async def scenario() -> None:
        far, watch = Watch(), Watch()
        async with (
            Proxy(broker.port) as proxy,
            connect(settings_for(broker.url), far, "far") as witness,
            connect(settings_for(proxy.url), watch) as connection,
        ):
            witness.subscribe("results", 1, far.take)
            await witness.wait_settled(soon())
            await connection.wait_connected(soon())
            proxy.black_hole = True
            waiting = asyncio.ensure_future(connection.publish_confirmed("results", b"x", soon()))
            await asyncio.sleep(0)
            proxy.black_hole = False
            proxy.cut()
            await waiting
            await far.until(lambda: bool(far.messages))
            assert set(far.payloads) == {b"x"}

    asyncio.run(scenario())


def test_a_slow_wire_holds_messages_back_in_the_bounded_queue(broker: Broker) -> None:
    async def scenario() -> None:
        watch = Watch()
        async with Proxy(broker.port) as proxy:
            settings = settings_for(proxy.url, outgoing_messages=50)
            async with connect(settings, watch) as connection:
                await connection.wait_connected(soon())
                proxy.delay_s = 0.5
                for _ in range(100):
                    connection.publish("results", b"x" * 200_000)
                assert 0 < connection.stats.waiting <= 50
                assert watch.drops[:1] == [("queue_full", "results")]
                proxy.delay_s = 0.0
                await connection.publish_confirmed("results", b"last", soon())

    asyncio.run(scenario())


def test_the_limits_that_a_broker_states_are_kept() -> None:
    async def scenario() -> None:
        watch = Watch()
        # Receive Maximum 2, Maximum QoS 1, no retained messages, packets of at most 100 bytes.
        limits = b"\x21\x00\x02\x24\x01\x25\x00\x27\x00\x00\x00\x64"
        accepted = b"\x20" + bytes([3 + len(limits)]) + b"\x00\x00" + bytes([len(limits)]) + limits
        heard = bytearray()
        async with (
            scripted(accepted, heard=heard) as url,
            connect(settings_for(url, version="5"), watch) as connection,
        ):
            await connection.wait_connected(soon())
            connection.publish("t", b"x" * 100)
            assert watch.drops == [("too_large_for_broker", "t")]
            for index in range(5):
                connection.publish("t", b"m%d" % index, 1, retain=True)
            assert connection.stats.waiting == 3
            await connection.close(drain_s=0.0)
        _, *messages, last = packets(bytes(heard))
        assert messages == [(0x32, b"\0\1t\0\1\0m0"), (0x32, b"\0\1t\0\2\0m1")]
        assert last == (0xE0, b"")

    asyncio.run(scenario())
