"""One network connection: silence, nonsense, packets too large, subscribers that fail."""

from __future__ import annotations

import asyncio

import pytest

from gateway.mqtt.message import Message
from gateway.mqtt.state import ConnectionState
from tests.broker import Broker
from tests.mqtt.scripted import scripted
from tests.mqtt.watch import Watch, connect, settings_for, soon
from tests.proxy import Proxy


def test_a_wire_cut_in_mid_message_loses_that_message_and_nothing_else(broker: Broker) -> None:
    async def scenario() -> None:
        watch = Watch()
        async with (
            Proxy(broker.port) as proxy,
            connect(settings_for(broker.url), name="far") as witness,
            connect(settings_for(proxy.url), watch) as connection,
        ):
            connection.subscribe("frames", 0, watch.take)
            await connection.wait_settled(soon())
            await witness.wait_connected(soon())
            proxy.truncate(100_000)
            witness.publish("frames", b"x" * 500_000)
            await watch.state(ConnectionState.ONLINE, times=2)
            await connection.wait_settled(soon())
            witness.publish("frames", b"whole")
            await watch.until(lambda: bool(watch.messages))
        assert watch.payloads == [b"whole"]

    asyncio.run(scenario())


def test_a_wire_that_swallows_everything_is_noticed_by_its_silence(broker: Broker) -> None:
    async def scenario() -> None:
        watch = Watch()
        async with Proxy(broker.port) as proxy:
            settings = settings_for(proxy.url, connect_timeout_s=1.0, version="5")
            proxy.black_hole = True
            async with connect(settings, watch) as connection:
                await watch.state(ConnectionState.OFFLINE)
                assert "no answer to CONNECT" in watch.states[1][1]
                proxy.black_hole = False
                await connection.wait_connected(soon())

    asyncio.run(scenario())


@pytest.mark.slow
def test_a_connection_that_falls_silent_is_given_up_by_its_keepalive(broker: Broker) -> None:
    async def scenario() -> None:
        watch = Watch()
        async with (
            Proxy(broker.port) as proxy,
            connect(settings_for(proxy.url, keepalive_s=5), watch) as connection,
        ):
            await connection.wait_connected(soon())
            proxy.black_hole = True
            await watch.state(ConnectionState.OFFLINE)
            proxy.black_hole = False
            await watch.state(ConnectionState.ONLINE, times=2)

    asyncio.run(scenario())


def test_the_largest_packet_is_announced_and_the_broker_keeps_larger_ones(broker: Broker) -> None:
    async def scenario() -> None:
        watch = Watch()
        async with (
            connect(settings_for(broker.url, max_packet_bytes=10_000, version="5"), watch) as connection,
            connect(settings_for(broker.url), name="far") as witness,
        ):
            connection.subscribe("frames", 1, watch.take)
            await connection.wait_settled(soon())
            await witness.publish_confirmed("frames", b"x" * 20_000, soon())
            await witness.publish_confirmed("frames", b"small", soon())
            await watch.until(lambda: bool(watch.messages))
            assert watch.payloads == [b"small"]
            assert watch.drops == []

    asyncio.run(scenario())


def test_on_3_1_1_a_larger_packet_is_counted_acknowledged_and_the_connection_stays(broker: Broker) -> None:
    async def scenario() -> None:
        watch = Watch()
        settings = settings_for(broker.url, max_packet_bytes=10_000, version="3.1.1")
        async with (
            connect(settings, watch) as connection,
            connect(settings_for(broker.url), name="far") as witness,
        ):
            connection.subscribe("frames/+", 1, watch.take)
            await connection.wait_settled(soon())
            # More than the broker lets through unacknowledged.
            for _ in range(30):
                witness.publish("frames/large", b"x" * 100_000, 1)
            witness.publish("frames/small", b"small", 1)
            await watch.until(lambda: bool(watch.messages))
            assert watch.payloads == [b"small"]
            assert watch.drops == [("packet_too_large", "frames/large")] * 30
            assert connection.stats.connects == 1

    asyncio.run(scenario())


def test_a_failing_subscriber_does_not_cost_the_messages_behind_its_own(broker: Broker) -> None:
    async def scenario() -> None:
        watch = Watch()
        failures: list[BaseException] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: failures.append(context["exception"]))

        def take(message: Message) -> None:
            watch.take(message)
            if message.payload == b"3":
                raise ZeroDivisionError

        async with connect(settings_for(broker.url), watch) as connection:
            connection.subscribe("t", 0, take)
            await connection.wait_settled(soon())
            for index in range(10):
                connection.publish("t", str(index).encode())
            await watch.until(lambda: len(watch.messages) == 10)
        assert [type(failure) for failure in failures] == [ZeroDivisionError]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x20\xff\xff\xff\xff\xff",
        b"\x20\x03\x00\x00\x09",
        b"\x30\x00",
        b"",
    ],
)
def test_a_server_that_speaks_no_mqtt_is_left_and_tried_again(answer: bytes) -> None:
    async def scenario() -> None:
        watch = Watch()
        async with scripted(answer) as url, connect(settings_for(url), watch):
            await watch.state(ConnectionState.OFFLINE, times=4)
            assert all(state is not ConnectionState.ONLINE for state, _ in watch.states)

    asyncio.run(scenario())


def test_a_client_whose_name_another_one_took_says_so_and_waits() -> None:
    async def scenario() -> None:
        watch = Watch()
        accepted, taken_over = b"\x20\x03\x00\x00\x00", b"\xe0\x02\x8e\x00"
        async with scripted(accepted + taken_over) as url, connect(settings_for(url), watch, "same"):
            await watch.state(ConnectionState.REFUSED)
            assert "another client uses the id same" in watch.states[-1][1]

    asyncio.run(scenario())


def test_a_broker_that_is_busy_is_tried_again_with_the_same_version() -> None:
    async def scenario() -> None:
        watch = Watch()
        busy = b"\x20\x03\x00\x89\x00"
        async with scripted(busy) as url, connect(settings_for(url), watch):
            await watch.state(ConnectionState.CONNECTING, times=4)
            assert {reason for _, reason in watch.states} == {"MQTT 5", "Server busy"}

    asyncio.run(scenario())


def test_messages_larger_than_the_socket_takes_arrive_whole_and_in_order_among_others(broker: Broker) -> None:
    async def scenario() -> None:
        watch = Watch()
        async with (
            connect(settings_for(broker.url, outgoing_bytes=200_000_000), name="far") as sender,
            connect(settings_for(broker.url), watch) as receiver,
        ):
            receiver.subscribe("frames", 1, watch.take)
            await receiver.wait_settled(soon())
            await sender.wait_connected(soon())
            sent = [bytes([number]) * (3_000_000 if number % 3 else 10) for number in range(24)]
            for number, payload in enumerate(sent):
                assert sender.publish("frames", payload, qos=number % 2)
            await watch.until(lambda: len(watch.messages) == len(sent))
        assert sorted(watch.payloads) == sorted(sent)
        plain = [payload for payload in watch.payloads if payload[0] % 2 == 0]
        assert plain == sent[::2]

    asyncio.run(scenario())
