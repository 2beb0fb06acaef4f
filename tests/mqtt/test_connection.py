"""The connection against a real mosquitto: both versions, crashes, subscriptions, credentials."""

from __future__ import annotations

import asyncio
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.configuration.secret import Secret
from gateway.errors import ForbiddenTopic
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


@BOTH
def test_each_subscriber_takes_a_message_once_however_many_filters_match(
    broker: Broker, version: str
) -> None:
    async def scenario() -> None:
        exact, wild, all_of_it = Watch(), Watch(), Watch()
        async with connect(settings_for(broker.url, version=version)) as connection:
            connection.subscribe("frames/a", 1, exact.take)
            connection.subscribe("frames/+", 0, wild.take)
            connection.subscribe("frames/#", 1, all_of_it.take)
            await connection.wait_settled(soon())
            for payload in (b"1", b"2", b"3"):
                connection.publish("frames/a", payload, 1)
            connection.publish("frames/fence", b"fence", 1)
            await all_of_it.until(lambda: all_of_it.payloads[-1:] == [b"fence"])
            await wild.until(lambda: wild.payloads[-1:] == [b"fence"])
        assert exact.payloads == [b"1", b"2", b"3"]
        assert wild.payloads == all_of_it.payloads == [b"1", b"2", b"3", b"fence"]

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


def test_two_thousand_wishes_of_one_moment_leave_in_few_packets(broker: Broker) -> None:
    async def scenario() -> None:
        watch = Watch()
        async with connect(settings_for(broker.url), watch) as connection:
            await connection.wait_connected(soon())
            before = connection.stats.bytes_out
            filters = [f"sensors/{index:04}/frame" for index in range(2000)]
            for one in filters:
                connection.subscribe(one, 0, watch.take)
            await connection.wait_settled(soon())
            # Each filter costs 2 + 1 bytes, and each of 20 packets a head of 3 + 2 + 3 at most.
            spent = connection.stats.bytes_out - before
            assert spent <= sum(len(one) + 3 for one in filters) + 20 * 8
            connection.publish("sensors/0000/frame", b"first")
            connection.publish("sensors/1999/frame", b"last")
            await watch.until(lambda: len(watch.messages) == 2)

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
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "gateway", "right one"], check=True)

    async def scenario(broker: Broker) -> None:
        for version in ("5", "3.1.1"):
            right = settings_for(
                broker.url, version=version, username="gateway", password=Secret("right one")
            )
            async with connect(right) as connection:
                await connection.wait_connected(soon())
            for wrong in (replace(right, password=Secret("wrong one")), replace(right, username="")):
                watch = Watch()
                async with connect(wrong, watch):
                    await watch.state(ConnectionState.REFUSED, times=2)
                assert {state for state, _ in watch.states[:4]} == {
                    ConnectionState.CONNECTING,
                    ConnectionState.REFUSED,
                }
                assert "uthori" in watch.states[1][1]
                assert not any("one" in reason for _, reason in watch.states)

    with Broker(f"password_file {passwords}", anonymous=False) as broker:
        asyncio.run(scenario(broker))


def test_a_refused_filter_is_told_and_the_others_work(tmp_path: Path) -> None:
    rights = tmp_path / "rights.json"
    nothing = {
        "publishClientSend": True,
        "publishClientReceive": True,
        "subscribe": False,
        "unsubscribe": True,
    }
    allowed = {"acltype": "subscribePattern", "topic": "allowed/#", "priority": 0, "allow": True}
    group = {"groupname": "all", "clients": [], "roles": [{"rolename": "reader"}]}
    described = {
        "defaultACLAccess": nothing,
        "clients": [],
        "groups": [group],
        "roles": [{"rolename": "reader", "acls": [allowed]}],
        "anonymousGroup": "all",
    }
    rights.write_text(json.dumps(described), encoding="utf-8")
    (plugin,) = Path("/usr/lib").glob("*/mosquitto_dynamic_security.so")

    async def scenario(broker: Broker, version: str, code: int) -> None:
        watch = Watch()
        async with connect(settings_for(broker.url, version=version), watch) as connection:
            connection.subscribe("allowed/+", 0, watch.take)
            connection.subscribe("secret/+", 0, watch.take)
            await connection.wait_settled(soon())
            assert watch.refused == [("secret/+", code)]
            connection.publish("secret/a", b"secret")
            connection.publish("allowed/a", b"allowed")
            await watch.until(lambda: bool(watch.messages))
            assert watch.payloads == [b"allowed"]

    with Broker(f"plugin {plugin}", f"plugin_opt_config_file {rights}") as broker:
        asyncio.run(scenario(broker, "5", 0x87))
        asyncio.run(scenario(broker, "3.1.1", 0x80))


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
