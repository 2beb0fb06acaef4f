"""The connection against a real mosquitto: both protocol versions, crashes, cut wires, limits."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from gateway.errors import DeadlineExceeded, ForbiddenTopic, Overloaded
from gateway.mqtt.message import Message, PublishProperties
from gateway.mqtt.state import ConnectionState
from gateway.mqtt.version import V5, V311
from tests.broker import Broker
from tests.mqtt.watch import Watch, connect, settings_for, soon
from tests.proxy import Proxy

BOTH = pytest.mark.parametrize("version", ["5", "3.1.1"])
DESCRIBED = PublishProperties("image/jpeg", {"seq": "7", "shape": "1,2"}, b"\x00id", "answers/here", 60)


@BOTH
def test_a_message_arrives_as_it_was_published(broker: Broker, version: str) -> None:
    async def scenario() -> None:
        watch = Watch()
        async with connect(settings_for(broker.url, version=version), watch) as connection:
            connection.subscribe("frames/+", 1, watch.take)
            await connection.wait_settled(soon())
            for size in (0, 1, 600, 16_380, 85_000, 1_000_000):
                assert connection.publish(
                    "frames/a", bytes([size % 251]) * size, size % 2, properties=DESCRIBED
                )
            await watch.until(lambda: len(watch.messages) == 6)
            assert connection.version == (V5 if version == "5" else V311)
        assert [len(payload) for payload in watch.payloads] == [0, 1, 600, 16_380, 85_000, 1_000_000]
        assert all(set(payload) <= {len(payload) % 251} for payload in watch.payloads)
        assert [message.qos for message in watch.messages] == [0, 1, 0, 0, 0, 0]
        described = watch.messages[-1]
        if version == "5":
            assert described.content_type == "image/jpeg"
            assert described.properties == {"seq": "7", "shape": "1,2"}
            assert (described.correlation, described.response_topic) == (b"\x00id", "answers/here")
            assert described.expiry_s is not None
            assert 0 < described.expiry_s <= 60
        else:
            assert described == Message("frames/a", watch.payloads[-1], 0, False, described.received_s)

    asyncio.run(scenario())


def test_the_version_is_found_by_itself_and_told(broker: Broker) -> None:
    async def scenario() -> None:
        watch = Watch()
        async with connect(settings_for(broker.url), watch) as connection:
            await connection.wait_connected(soon())
            assert connection.version == V5
        names = [state for state, _ in watch.states]
        assert names == [ConnectionState.CONNECTING, ConnectionState.ONLINE, ConnectionState.CLOSED]

    asyncio.run(scenario())


@BOTH
def test_a_killed_broker_is_found_again_with_every_subscription(broker: Broker, version: str) -> None:
    async def scenario() -> None:
        watch = Watch()
        async with connect(settings_for(broker.url, version=version), watch) as connection:
            for index in range(150):
                connection.subscribe(f"frames/{index}", index % 2, watch.take)
            connection.subscribe("wild/#", 1, watch.take)
            await connection.wait_settled(soon())
            broker.kill()
            await watch.state(ConnectionState.OFFLINE)
            connection.unsubscribe("frames/149")
            broker.start()
            await watch.state(ConnectionState.ONLINE, times=2)
            await connection.wait_settled(soon())
            for topic in ("frames/0", "frames/148", "frames/149", "wild/x/y"):
                await connection.publish_confirmed(topic, topic.encode(), soon())
            await watch.until(lambda: len(watch.messages) == 3)
            assert watch.payloads == [b"frames/0", b"frames/148", b"wild/x/y"]
            assert connection.stats.connects == 2

    asyncio.run(scenario())


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
            settings = settings_for(proxy.url, connect_timeout_s=0.3, version="5")
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
        async with Proxy(broker.port) as proxy:
            async with connect(settings_for(proxy.url, keepalive_s=5), watch) as connection:
                await connection.wait_connected(soon())
                proxy.black_hole = True
                await watch.state(ConnectionState.OFFLINE)
                proxy.black_hole = False
                await watch.state(ConnectionState.ONLINE, times=2)

    asyncio.run(scenario())


def test_a_message_that_was_not_acknowledged_comes_again(broker: Broker) -> None:
    async def scenario() -> None:
        watch = Watch()
        async with (
            Proxy(broker.port) as proxy,
            connect(settings_for(broker.url), name="far") as witness,
            connect(settings_for(proxy.url), watch, "kept", clean=False) as connection,
        ):
            connection.subscribe("readings", 1, watch.take, retain_handling=2, manual=True)
            await connection.wait_settled(soon())
            for payload in (b"done", b"undone"):
                await witness.publish_confirmed("readings", payload, soon())
            await watch.until(lambda: len(watch.messages) == 2)
            assert connection.acknowledge(watch.messages[0])
            assert not connection.acknowledge(watch.messages[0])
            await connection.publish_confirmed("fence", b"", soon())  # the PUBACK went before it
            proxy.cut()
            await watch.until(lambda: len(watch.messages) == 3)
            assert watch.payloads[2] == b"undone"
            assert not connection.acknowledge(watch.messages[1])
            assert connection.acknowledge(watch.messages[2])

    asyncio.run(scenario())


def test_messages_without_a_manual_subscriber_are_acknowledged_by_themselves(broker: Broker) -> None:
    async def scenario() -> None:
        watch = Watch()
        # The broker lets only 20 unacknowledged messages through: 100 need their acknowledgements.
        async with connect(settings_for(broker.url, receive_maximum=5), watch) as connection:
            connection.subscribe("readings/#", 1, watch.take)
            await connection.wait_settled(soon())
            for index in range(100):
                connection.publish(f"readings/{index}", b"x", 1)
            await watch.until(lambda: len(watch.messages) == 100)

    asyncio.run(scenario())


def test_retained_messages_carry_their_flag_and_live_ones_do_not(broker: Broker) -> None:
    async def scenario() -> None:
        watch, fresh = Watch(), Watch()
        async with connect(settings_for(broker.url), watch) as connection:
            await connection.publish_confirmed("state/a", b"old", soon(), retain=True)
            connection.subscribe("state/+", 1, watch.take)
            connection.subscribe("state/a", 0, fresh.take, retain_handling=2)
            await connection.wait_settled(soon())
            await watch.until(lambda: len(watch.messages) == 1)
            await connection.publish_confirmed("state/a", b"new", soon(), retain=True)
            await watch.until(lambda: len(watch.messages) == 2)
        assert [(message.payload, message.retain) for message in watch.messages] == [
            (b"old", True),
            (b"new", False),
        ]
        assert fresh.payloads == [b"new"]

    asyncio.run(scenario())


def test_replayed_frames_are_dropped_where_the_protocol_cannot_ask_for_none(broker: Broker) -> None:
    async def scenario() -> None:
        watch = Watch()
        async with connect(settings_for(broker.url, version="3.1.1"), watch) as connection:
            await connection.publish_confirmed("frames/a", b"old", soon(), retain=True)
            connection.subscribe("frames/a", 0, watch.take, retain_handling=2)
            await watch.until(lambda: watch.drops == [("retained", "frames/a")])
            connection.publish("frames/a", b"new")
            await watch.until(lambda: watch.payloads == [b"new"])

    asyncio.run(scenario())


def test_with_no_local_a_connection_does_not_hear_itself(broker: Broker) -> None:
    async def scenario() -> None:
        watch = Watch()
        async with (
            connect(settings_for(broker.url), watch) as connection,
            connect(settings_for(broker.url), name="far") as witness,
        ):
            connection.subscribe("hello", 1, watch.take, no_local=True)
            await connection.wait_settled(soon())
            await connection.publish_confirmed("hello", b"mine", soon())
            await witness.publish_confirmed("hello", b"theirs", soon())
            await watch.until(lambda: bool(watch.messages))
            assert watch.payloads == [b"theirs"]

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


def test_two_thousand_wishes_of_one_moment_leave_in_few_packets(broker: Broker) -> None:
    async def scenario() -> None:
        watch = Watch()
        async with connect(settings_for(broker.url), watch) as connection:
            await connection.wait_connected(soon())
            before = connection.stats.bytes_out
            filters = [f"sensors/{index:04}/frame" for index in range(2000)]
            for filter in filters:
                connection.subscribe(filter, 0, watch.take)
            await connection.wait_settled(soon())
            # Each filter costs 2 + 1 bytes, and each of 20 packets 2 + 2 + 1 + 2 at most.
            spent = connection.stats.bytes_out - before
            assert spent <= sum(len(filter) + 3 for filter in filters) + 20 * 7
            connection.publish("sensors/0000/frame", b"first")
            connection.publish("sensors/1999/frame", b"last")
            await watch.until(lambda: len(watch.messages) == 2)

    asyncio.run(scenario())


def test_while_the_broker_is_away_the_oldest_messages_go_and_are_counted(broker: Broker) -> None:
    async def scenario() -> None:
        watch, far = Watch(), Watch()
        settings = settings_for(broker.url, outgoing_messages=10)
        broker.kill()
        async with connect(settings, watch) as connection:
            for index in range(25):
                assert connection.publish("results", str(index).encode())
            assert watch.drops == [("queue_full", "results")] * 15
            broker.start()
            async with connect(settings_for(broker.url), far, "far") as witness:
                # Only then may the other one connect, or its messages find no listener.
                witness.subscribe("results", 0, far.take)
                await witness.wait_settled(soon())
                connection.publish("results", b"fence")
                await far.until(lambda: far.payloads[-1:] == [b"fence"])
        kept = [str(index).encode() for index in range(15, 25)]
        assert [payload for payload in far.payloads if payload != b"fence"] == kept[-len(far.payloads) + 1 :]

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


def test_a_topic_that_cannot_be_published_on_is_refused(broker: Broker) -> None:
    async def scenario() -> None:
        async with connect(settings_for(broker.url)) as connection:
            for topic in ("", "a/+", "#", "a\0b"):
                with pytest.raises(ForbiddenTopic):
                    connection.publish(topic, b"")
            with pytest.raises(ForbiddenTopic):
                connection.subscribe("a/#/b", 0, Watch().take)

    asyncio.run(scenario())


def test_wrong_credentials_are_told_as_such_and_right_ones_let_in(tmp_path: Path) -> None:
    hashed = "gateway:$7$101$c2FsdHNhbHQxMjM=$"  # no password gives this hash
    passwords = tmp_path / "passwords"
    passwords.write_text(hashed + "\n", encoding="utf-8")

    async def scenario(broker: Broker) -> None:
        for version in ("5", "3.1.1"):
            watch = Watch()
            async with connect(settings_for(broker.url, version=version), watch):
                await watch.state(ConnectionState.REFUSED, times=2)
            assert "uthori" in watch.states[1][1] or "user name" in watch.states[1][1]

    with Broker(f"password_file {passwords}", anonymous=False) as broker:
        asyncio.run(scenario(broker))


def test_two_clients_of_one_name_do_not_fight_at_full_speed(broker: Broker) -> None:
    async def scenario() -> None:
        watch = Watch()
        settings = settings_for(broker.url, reconnect_max_s=60)
        async with connect(settings, watch, "same") as first:
            await first.wait_connected(soon())
            async with connect(settings_for(broker.url), name="same") as second:
                await second.wait_connected(soon())
                await watch.state(ConnectionState.REFUSED)
                assert "another client uses the id same" in watch.states[-1][1]
                assert second.connected

    asyncio.run(scenario())


def test_a_refused_filter_is_told(tmp_path: Path) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic read allowed/#\n", encoding="utf-8")

    async def scenario(broker: Broker) -> None:
        watch = Watch()
        async with connect(settings_for(broker.url), watch) as connection:
            connection.subscribe("allowed/+", 0, watch.take)
            connection.subscribe("secret/+", 0, watch.take)
            await connection.wait_settled(soon())
        assert [filter for filter, _ in watch.refused] in ([], ["secret/+"])

    with Broker(f"acl_file {rules}") as broker:
        asyncio.run(scenario(broker))


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
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                await reader.read(1000)
                writer.write(answer)
                await writer.drain()
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        watch = Watch()
        async with connect(settings_for(f"mqtt://127.0.0.1:{port}"), watch):
            await watch.state(ConnectionState.OFFLINE, times=4)
            assert all(state is not ConnectionState.ONLINE for state, _ in watch.states)
        server.close()

    asyncio.run(scenario())


def test_closing_twice_or_before_the_broker_was_found_is_fine(broker: Broker) -> None:
    async def scenario() -> None:
        async with connect(settings_for(broker.url)) as connection:
            await connection.wait_connected(soon())
            await connection.close()
            await connection.close()
        broker.kill()
        async with connect(settings_for(broker.url, reconnect_min_s=30, reconnect_max_s=30)):
            pass
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(scenario())
