"""The gateway's two connections: who it says it is, at every connect and at every kind of end."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Mapping

from gateway.mqtt.link import CONTROL, DATA, Identity, Link, LinkEvents
from gateway.mqtt.message import Message
from gateway.mqtt.state import ConnectionState
from tests.broker import Broker
from tests.mqtt.watch import Watch, connect, settings_for, soon
from tests.proxy import Proxy

STATE = "gw/porch/state"
WHO = Identity("porch", 1_763_800_000, "0.1.0", lambda: {"models": ["cat"]})
ONLINE = {"state": "online", "id": "porch", "epoch": 1_763_800_000, "version": "0.1.0", "models": ["cat"]}


def said(message: Message) -> Mapping[str, object]:
    return dict(json.loads(message.payload))


def states(watch: Watch) -> list[object]:
    """Return the states in their order; one may be said twice, as its confirmation can be lost."""
    every = [said(message)["state"] for message in watch.messages if message.topic == STATE]
    return [state for state, _ in itertools.groupby(every)]


def test_birth_and_a_clean_stop_are_said(broker: Broker) -> None:
    async def scenario() -> None:
        watch = Watch()
        async with connect(settings_for(broker.url)) as witness:
            witness.subscribe(STATE, 1, watch.take)
            await witness.wait_settled(soon())
            async with Link(settings_for(broker.url), WHO) as link:
                await link.wait_connected(soon())
                assert link.connected
                await watch.until(lambda: len(watch.messages) == 1)
            await watch.until(lambda: states(watch) == ["online", "stopped"])
        birth, _ = watch.messages
        assert said(birth) == ONLINE

    asyncio.run(scenario())


def test_what_was_said_last_is_kept_by_the_broker(broker: Broker) -> None:
    async def scenario() -> None:
        async with Link(settings_for(broker.url), WHO) as link:
            await link.wait_connected(soon())
        watch = Watch()
        async with connect(settings_for(broker.url)) as witness:
            witness.subscribe("gw/#", 1, watch.take)
            await watch.until(lambda: states(watch) == ["stopped"])
            assert [message.retain for message in watch.messages] == [True]

    asyncio.run(scenario())


def test_a_cut_wire_makes_the_broker_say_offline_and_the_return_online(broker: Broker) -> None:
    async def scenario() -> None:
        watch = Watch()
        async with Proxy(broker.port) as proxy, connect(settings_for(broker.url)) as witness:
            witness.subscribe(STATE, 1, watch.take)
            await witness.wait_settled(soon())
            async with Link(settings_for(proxy.url), WHO) as link:
                await link.wait_connected(soon())
                await watch.until(lambda: states(watch) == ["online"])
                await proxy.stop()
                await watch.until(lambda: states(watch) == ["online", "offline"])
                await proxy.start()
                await link.wait_connected(soon())
                await watch.until(lambda: states(watch) == ["online", "offline", "online"])
            await watch.until(lambda: states(watch)[3:] == ["stopped"])

    asyncio.run(scenario())


def test_announcements_made_while_away_are_kept_and_frames_are_not(broker: Broker) -> None:
    async def scenario() -> None:
        control, data = Watch(), Watch()
        seen: list[tuple[str, ConnectionState]] = []
        events = LinkEvents(on_state=lambda name, state, _: seen.append((name, state)))
        async with (
            Proxy(broker.port) as proxy,
            connect(settings_for(broker.url)) as witness,
            Link(settings_for(proxy.url), WHO, events) as link,
        ):
            link.control.subscribe("gw/announce/+", 1, control.take, retain_handling=2)
            link.data.subscribe("frames", 1, data.take, retain_handling=2)
            await link.control.wait_settled(soon())
            await link.data.wait_settled(soon())
            await proxy.stop()
            for topic in ("gw/announce/cam", "frames"):
                await witness.publish_confirmed(topic, b"while away", soon())
            await proxy.start()
            await control.until(lambda: control.payloads == [b"while away"])
            await link.data.wait_settled(soon())
            await witness.publish_confirmed("frames", b"live", soon())
            await data.until(lambda: bool(data.messages))
            assert data.payloads == [b"live"]
        assert {name for name, _ in seen} == {CONTROL, DATA}
        assert seen.count((CONTROL, ConnectionState.ONLINE)) == 2

    asyncio.run(scenario())


def test_a_link_without_a_broker_ends_without_ado(broker: Broker) -> None:
    async def scenario() -> None:
        broker.kill()
        async with Link(settings_for(broker.url), WHO) as link:
            link.announce()
            assert not link.connected

    asyncio.run(scenario())
