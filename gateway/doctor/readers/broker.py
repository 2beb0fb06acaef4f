"""Connects to the broker as somebody else than the gateway, measures it, and leaves it as it was.

The client id is one that nobody has, the session is clean, the topics are this
visit's own, and the one message that it lets the broker keep is taken back.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gateway.configuration.settings import Settings
from gateway.daemon.house import gateway_id
from gateway.doctor.readers.persistence import keeps_retained
from gateway.doctor.readers.tls import is_local
from gateway.doctor.readers.visit import Visit
from gateway.doctor.rules.broker import BrokerFacts
from gateway.errors import ConfigError, Unavailable
from gateway.mqtt.dial import Target, dial, read_target
from gateway.mqtt.handshake import Accepted, Hello, RefusalKind, Refused
from gateway.mqtt.message import PublishProperties
from gateway.mqtt.outgoing import Outgoing
from gateway.mqtt.transport import Transport
from gateway.mqtt.version import VersionChoice
from gateway.mqtt.wait import done_by

_SOFTWARE: Final = "$SYS/broker/version"
_ROUND_TRIPS: Final = 5
_ANSWER_LIMIT_S: Final = 2.0
MOST_CONNECT_S: Final = 5.0
_KEEPALIVE_S: Final = 30
_EXPIRY_S: Final = 60
_GOODBYE_S: Final = 1.0
_MOST_NAME: Final = 60


@dataclass(slots=True)
class _Reached:
    """A broker that said yes. Mutable only in being built up."""

    transport: Transport
    visit: Visit
    limits: Accepted
    version: int
    connect_ms: float


async def read_broker(settings: Settings, root: Path, *, without_secret: bool = False) -> BrokerFacts:
    """Visit the broker that ``settings`` name.

    Args:
        settings: Where it is, with which credentials.
        root: Where ``/`` is, for the configuration of a broker on this machine.
        without_secret: Whether the gateway has a password that is not among the settings.

    Cancel-safe: the connection is closed; a kept message expires by itself (on MQTT 5).
    """
    mqtt = settings.mqtt
    head, at, tail = mqtt.url.rpartition("@")
    facts = BrokerFacts(
        f"{head.partition('://')[0]}://{tail}" if at else mqtt.url,
        is_local(mqtt.url),
        mqtt.max_packet_bytes,
        mqtt.version,
        without_secret=without_secret,
    )
    try:
        target = read_target(mqtt)
    except ConfigError as error:
        return replace(facts, error="; ".join(issue.what for issue in error.issues))
    versions = VersionChoice(mqtt.version)
    while True:
        version = versions.next()
        try:
            found = await _connect(target, settings, version)
        except Unavailable as error:
            return replace(facts, error=error.message.removeprefix(f"{target.host}:{target.port}: "))
        if isinstance(found, _Reached):
            break
        if found.kind is RefusalKind.VERSION:
            versions.unanswered(version)
            if versions.at_once:
                continue
        return replace(facts, error=found.reason, refused=found.kind is RefusalKind.ACCESS)
    try:
        facts = await _look_around(
            found, replace(facts, persistent=_persistent(facts, root, target)), settings
        )
    finally:
        if not found.transport.closed.done():
            found.transport.disconnect()
        await done_by(found.transport.closed, time.monotonic() + _GOODBYE_S)
        found.transport.abort("the visit is over")
    return facts


async def _connect(target: Target, settings: Settings, version: int) -> _Reached | Refused:
    """Connect with one protocol version.

    Raises:
        Unavailable: Nobody listens, TLS failed, or nobody answers.
    """
    limit_s = min(settings.mqtt.connect_timeout_s, MOST_CONNECT_S)
    started_s = time.perf_counter()
    sock = await dial(target, limit_s)
    visit = Visit()
    transport = visit.transport = Transport(sock, _hello(target, settings, version), visit)
    try:
        transport.open()
        if not await done_by(transport.answer, time.monotonic() + limit_s):
            raise Unavailable(f"it takes the connection and does not answer within {limit_s:g} s")
        answer = transport.answer.result()
    except BaseException:
        transport.abort("no answer")
        raise
    if isinstance(answer, Refused):
        transport.abort("refused")
        return answer
    return _Reached(transport, visit, answer, version, (time.perf_counter() - started_s) * 1e3)


def _hello(target: Target, settings: Settings, version: int) -> Hello:
    return Hello(
        client_id=f"gw-doctor-{os.getpid()}-{secrets.token_hex(3)}",
        version=version,
        clean=True,
        keepalive_s=_KEEPALIVE_S,
        session_expiry_s=0,
        max_packet_bytes=settings.mqtt.max_packet_bytes,
        receive_maximum=settings.mqtt.receive_maximum,
        username=target.username,
        password=target.password,
    )


async def _look_around(reached: _Reached, facts: BrokerFacts, settings: Settings) -> BrokerFacts:
    """Measure round trips, and see whether a retained message is kept."""
    facts = replace(
        facts, version=reached.version, limits=reached.limits, connect_ms=round(reached.connect_ms, 3)
    )
    name = settings.gateway.id or gateway_id(socket.gethostname())
    place = f"{settings.mqtt.topic_prefix}/{name}/doctor/{secrets.token_hex(4)}"
    visit = reached.visit
    with contextlib.suppress(Unavailable):  # not every broker tells, or tells everybody
        await visit.subscribe(_SOFTWARE, _ANSWER_LIMIT_S)
    try:
        trips = await _round_trips(visit, f"{place}/echo")
    except Unavailable as error:
        return replace(facts, round_trip_error=error.message, software=_software(visit))
    facts = replace(facts, round_trips_ms=trips, software=_software(visit))
    if not reached.limits.retain_available:
        return facts
    try:
        return replace(facts, retained=await _keeps(visit, f"{place}/kept"))
    except Unavailable:
        return facts


async def _round_trips(visit: Visit, topic: str) -> tuple[float, ...]:
    """Send messages to ourselves, one after the other; return how long each took.

    Raises:
        Unavailable: One did not come back.
    """
    await visit.subscribe(topic, _ANSWER_LIMIT_S)
    trips = []
    for number in range(_ROUND_TRIPS):
        started_s = time.perf_counter()
        await visit.publish(Outgoing(topic, b"%d" % number, 1), _ANSWER_LIMIT_S)
        found = await visit.heard(topic, _ANSWER_LIMIT_S)
        if found is None:
            raise Unavailable(f"the broker took it, and gave it to nobody within {_ANSWER_LIMIT_S:g} s")
        trips.append(round((found[1] - started_s) * 1e3, 3))
    return tuple(trips)


async def _keeps(visit: Visit, topic: str) -> bool:
    """Say whether the broker keeps a retained message; it is taken back, whatever comes.

    Raises:
        Unavailable: The broker refuses it, or hangs up.
    """
    expiring = PublishProperties(expiry_s=_EXPIRY_S)
    try:
        await visit.publish(Outgoing(topic, b"kept", 1, True, expiring), _ANSWER_LIMIT_S)
        await visit.subscribe(topic, _ANSWER_LIMIT_S)
        return await visit.heard(topic, _ANSWER_LIMIT_S) is not None
    finally:
        with contextlib.suppress(Unavailable):
            await visit.publish(Outgoing(topic, b"", 1, True), _ANSWER_LIMIT_S)


def _software(visit: Visit) -> str:
    """Return what the broker calls itself, in letters that can be printed."""
    found = visit.messages.get(_SOFTWARE)
    text = found[0].payload[:_MOST_NAME].decode("utf-8", "replace") if found else ""
    return "".join(letter for letter in text if letter.isprintable())


def _persistent(facts: BrokerFacts, root: Path, target: Target) -> bool | None:
    return keeps_retained(root, target.port) if facts.local else None
