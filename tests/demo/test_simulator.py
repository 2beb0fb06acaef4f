"""The simulated sensors on a real broker, as an observer beside them sees them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.configuration.settings import MqttSettings
from gateway.demo.child import Child
from gateway.demo.simulator import GO, HOLD
from gateway.mqtt.connection import Connection
from gateway.mqtt.message import Message
from gateway.mqtt.state import ConnectionOptions
from tests.broker import Broker

IDS = ("demo-camera", "demo-microphone", "demo-watch")
LIMIT_S = 30.0


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with Broker() as running:
        yield running


class Observer:
    """Notes what the broker delivers."""

    def __init__(self) -> None:
        self.seen: dict[str, list[bytes]] = {}
        self._changed = asyncio.Event()

    def take(self, message: Message) -> None:
        """Note one message."""
        self.seen.setdefault(message.topic, []).append(message.payload)
        self._changed.set()

    async def until(self, holds: Callable[[dict[str, list[bytes]]], bool]) -> None:
        """Wait until what was seen is enough."""

        async def wait() -> None:
            while not holds(self.seen):
                self._changed.clear()
                await self._changed.wait()

        await asyncio.wait_for(wait(), LIMIT_S)


@asynccontextmanager
async def observing(url: str, prefix: str) -> AsyncIterator[tuple[Connection, Observer]]:
    """Watch everything under ``prefix`` and all frames."""
    observer = Observer()
    settings = MqttSettings(url=url)
    async with Connection(settings, ConnectionOptions(f"observer-{prefix}", clean=True)) as connection:
        for topic in (f"{prefix}/#", "demo/#"):
            connection.subscribe(topic, 1, observer.take)
        await connection.wait_settled(time.monotonic() + LIMIT_S)
        yield connection, observer


def play(
    broker: Broker, prefix: str, folder: Path, scene: Callable[[Connection, Observer, Child], Awaitable[None]]
) -> None:
    """Run a scene beside the simulator's process."""

    async def scenario() -> None:
        async with observing(broker.url, prefix) as (connection, observer):
            command = ("-m", "gateway.demo.simulator", broker.url, "auto", prefix)
            simulator = await Child.start("sensors", command, folder, listen=True)
            try:
                await observer.until(
                    lambda seen: all(f"{prefix}/announce/{name}/state" in seen for name in IDS)
                )
                await scene(connection, observer, simulator)
            finally:
                await simulator.stop()

    asyncio.run(scenario())


def last(observer: Observer, topic: str) -> bytes:
    """Return the newest payload of a topic."""
    return observer.seen[topic][-1]


def test_sensors_announce_themselves_send_frames_and_leave_nothing_behind(
    broker: Broker, tmp_path: Path
) -> None:
    async def scene(_: Connection, observer: Observer, simulator: Child) -> None:
        await observer.until(lambda seen: sum(topic.startswith("demo/") for topic in seen) == 3)
        for name in IDS:
            announced = json.loads(last(observer, f"one/announce/{name}"))
            assert announced["id"] == name
            assert last(observer, f"one/announce/{name}/state") == b"ready"
        assert last(observer, "demo/demo-camera/frame").startswith(b"\xff\xd8")
        assert len(last(observer, "demo/demo-microphone/sound")) == 3200
        assert len(last(observer, "demo/demo-watch/motion")) == 2400
        await simulator.stop()
        empty = [f"one/announce/{name}{part}" for name in IDS for part in ("", "/state")]
        await observer.until(lambda seen: all(seen[topic][-1] == b"" for topic in empty))
        for name in IDS:
            assert observer.seen[f"one/announce/{name}/state"][-2] == b"stopped"

    play(broker, "one", tmp_path, scene)


def test_the_broker_says_the_will_of_sensors_that_are_killed(broker: Broker, tmp_path: Path) -> None:
    async def scene(_: Connection, observer: Observer, simulator: Child) -> None:
        os.kill(simulator.pid, signal.SIGKILL)
        states = [f"two/announce/{name}/state" for name in IDS]
        await observer.until(lambda seen: all(seen[topic][-1] == b"lost" for topic in states))

    play(broker, "two", tmp_path, scene)


def test_sensors_announce_themselves_again_when_a_gateway_says_hello(broker: Broker, tmp_path: Path) -> None:
    async def scene(connection: Connection, observer: Observer, _: Child) -> None:
        before = {name: len(observer.seen[f"three/announce/{name}"]) for name in IDS}
        connection.publish("three/hello", b"{}")
        await observer.until(
            lambda seen: all(len(seen[f"three/announce/{name}"]) > count for name, count in before.items())
        )

    play(broker, "three", tmp_path, scene)


async def hear(simulator: Child, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Return the first report for which something holds."""
    while True:
        told: dict[str, Any] = json.loads(await asyncio.wait_for(simulator.line(), LIMIT_S))
        if holds(told):
            return told


def test_sensors_that_are_held_send_nothing_until_they_may_go_on(broker: Broker, tmp_path: Path) -> None:
    async def scene(_: Connection, observer: Observer, simulator: Child) -> None:
        simulator.tell(HOLD)
        held = await hear(simulator, lambda told: set(told["held"]) == set(IDS))
        later = await hear(simulator, lambda told: bool(told["held"]))
        assert later["sent"] == held["sent"]
        simulator.tell(GO)
        going = await hear(simulator, lambda told: all(told["sent"][n] > held["sent"][n] for n in IDS))
        assert going["held"] == []
        simulator.tell(HOLD)
        await hear(simulator, lambda told: set(told["held"]) == set(IDS))
        simulator.close_input()  # even those that are held obey the end
        await hear(simulator, lambda told: told["last"])

    play(broker, "five", tmp_path, scene)


def test_the_end_of_input_means_no_more_frames_and_a_true_count(broker: Broker, tmp_path: Path) -> None:
    async def scene(_: Connection, observer: Observer, simulator: Child) -> None:
        await observer.until(lambda seen: sum(topic.startswith("demo/") for topic in seen) == 3)
        simulator.close_input()
        told: dict[str, Any] = {"last": False}
        while not told["last"]:
            told = json.loads(await simulator.line())
        topics = dict(zip(IDS, ("frame", "sound", "motion"), strict=True))
        sent = {f"demo/{name}/{topics[name]}": count for name, count in told["sent"].items()}
        await observer.until(lambda seen: all(len(seen[topic]) == count for topic, count in sent.items()))
        assert not simulator.ended
        assert {last(observer, f"four/announce/{name}/state") for name in IDS} == {b"ready"}

    play(broker, "four", tmp_path, scene)
