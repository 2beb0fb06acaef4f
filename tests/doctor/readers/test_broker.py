"""The visit to real brokers, and to some that behave as no broker should."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.configuration.secret import Secret
from gateway.configuration.settings import IdentitySettings, MqttSettings, Settings
from gateway.doctor.readers.broker import read_broker
from gateway.doctor.rules.broker import BrokerFacts
from gateway.mqtt.connection import Connection
from gateway.mqtt.message import Message
from gateway.mqtt.state import ConnectionOptions
from tests.broker import Broker
from tests.doctor.trees import write
from tests.mqtt.scripted import scripted
from tests.ports import free_port

HERE = Path("/")
REFUSED_V5 = bytes((0x20, 3, 0, 0x84, 0))
ACCEPTED_V311 = bytes((0x20, 2, 0, 0))


@pytest.fixture(name="broker", scope="module")
def _broker() -> Iterator[Broker]:
    with Broker("max_packet_size 1000000", "max_inflight_messages 7", "max_topic_alias 5") as broker:
        yield broker


def settings(url: str, **mqtt: object) -> Settings:
    return Settings(
        gateway=IdentitySettings(id="hall"),
        mqtt=replace(MqttSettings(url=url, connect_timeout_s=5.0), **mqtt),  # type: ignore[arg-type]
    )


def visit(url: str, root: Path = HERE, **mqtt: object) -> BrokerFacts:
    return asyncio.run(read_broker(settings(url, **mqtt), root))


def test_a_brokers_limits_software_and_round_trips_are_told(broker: Broker) -> None:
    facts = visit(broker.url)
    assert (facts.error, facts.version, facts.round_trip_error, facts.retained) == ("", 5, "", True)
    assert facts.limits is not None
    assert facts.limits.max_packet_bytes == 1_000_000
    assert (facts.limits.receive_maximum, facts.limits.topic_alias_maximum) == (7, 5)
    assert facts.software.startswith("mosquitto version ")
    assert len(facts.round_trips_ms) == 5
    assert all(trip > 0 for trip in facts.round_trips_ms)
    assert facts.connect_ms > 0


def test_with_the_older_protocol_the_same_is_measured(broker: Broker) -> None:
    facts = visit(broker.url, version="3.1.1")
    assert (facts.version, facts.retained, len(facts.round_trips_ms)) == (4, True, 5)


def test_a_broker_that_refuses_mqtt_5_is_asked_again_with_3_1_1() -> None:
    heard = bytearray()

    async def ask() -> BrokerFacts:
        async with scripted(REFUSED_V5, heard=heard) as url:
            return await read_broker(settings(url, connect_timeout_s=1.0), HERE)

    facts = asyncio.run(ask())
    levels = [heard[at + 6] for at in range(len(heard) - 6) if heard[at : at + 6] == b"\x00\x04MQTT"]
    assert levels == [5, 4]
    assert facts.limits is None
    assert facts.error


def test_nothing_is_left_behind_and_a_gateway_beside_it_stays_connected(broker: Broker) -> None:
    async def watch() -> tuple[int, list[Message]]:
        kept: list[Message] = []
        options = ConnectionOptions("gw-hall-control", clean=True)
        async with Connection(MqttSettings(url=broker.url), options) as gateway:
            await gateway.wait_connected(asyncio.get_running_loop().time() + 10)
            await read_broker(settings(broker.url), HERE)
            async with Connection(
                MqttSettings(url=broker.url), ConnectionOptions("looker", clean=True)
            ) as later:
                later.subscribe("gw/hall/#", 1, kept.append)
                await later.wait_settled(asyncio.get_running_loop().time() + 10)
                # What is kept comes before what is sent after the subscription.
                last = asyncio.Event()
                later.subscribe("last", 1, lambda _: last.set())
                await later.wait_settled(asyncio.get_running_loop().time() + 10)
                later.publish("last", b"", 1)
                await last.wait()
            return gateway.stats.connects, kept

    assert asyncio.run(watch()) == (1, [])


def test_a_dead_broker_is_refused_and_a_hanging_one_is_given_up() -> None:
    assert visit(f"mqtt://127.0.0.1:{free_port()}").error == "Connection refused"

    async def hang() -> BrokerFacts:
        async with scripted(b"", heard=bytearray()) as url:
            return await read_broker(settings(url, connect_timeout_s=1.0), HERE)

    assert asyncio.run(hang()).error == "it takes the connection and does not answer within 1 s"


def test_who_is_not_let_in_is_told_so_and_no_password_is_shown(tmp_path: Path) -> None:
    passwords = write(tmp_path / "passwords", "")
    with Broker(f"password_file {passwords}", anonymous=False) as broker:
        facts = visit(f"mqtt://hall:hunter2@127.0.0.1:{broker.port}")
        assert visit(broker.url, username="hall", password=Secret("hunter2")).refused
    assert (facts.refused, facts.limits) == (True, None)
    assert "hunter2" not in repr(facts)
    assert "not authori" in facts.error.lower()


def test_an_access_list_that_gives_nothing_back_is_found_by_the_round_trip(tmp_path: Path) -> None:
    acl = write(tmp_path / "acl", "topic write gw/#\ntopic read none/#\n")
    with Broker(f"acl_file {acl}") as broker:
        facts = visit(broker.url)
    assert facts.limits is not None
    assert facts.round_trips_ms == ()
    assert facts.round_trip_error


def test_a_broker_without_retained_messages_is_told(tmp_path: Path) -> None:
    with Broker("retain_available false") as broker:
        facts = visit(broker.url)
    assert facts.limits is not None
    assert (facts.limits.retain_available, facts.retained) == (False, None)


def test_a_broker_that_hangs_up_in_the_middle_is_a_finding_and_no_crash() -> None:
    async def ask() -> BrokerFacts:
        async with scripted(ACCEPTED_V311) as url:
            return await read_broker(settings(url, version="3.1.1"), HERE)

    facts = asyncio.run(ask())
    assert facts.round_trips_ms == ()


def test_persistence_is_read_of_the_broker_on_this_machine_alone(broker: Broker, tmp_path: Path) -> None:
    main = write(
        tmp_path / "etc/mosquitto/mosquitto.conf",
        f"persistence true\nlistener {broker.port} 127.0.0.1\ninclude_dir /etc/mosquitto/conf.d\n",
    )
    assert visit(broker.url, tmp_path).persistent is True
    write(tmp_path / "etc/mosquitto/conf.d/own.conf", "# ours\npersistence false\n")
    assert visit(broker.url, tmp_path).persistent is False
    main.write_text("listener 1 127.0.0.1\n")
    assert visit(broker.url, tmp_path).persistent is None
    main.unlink()
    assert visit(broker.url, tmp_path).persistent is None


def test_an_address_that_cannot_be_read_is_said_and_not_dialled() -> None:
    assert "is not mqtt://HOST" in visit("http://broker").error
