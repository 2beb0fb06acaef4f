"""What the doctor says of the broker: reached or not, its limits, its round trip, what it keeps. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.doctor.finding import Figures, Finding, note, ok, problem, warning
from gateway.mqtt.handshake import Accepted

_SLOW_MS: Final = 100.0
_FEW_UNCONFIRMED: Final = 10
_V5: Final = 5


@dataclass(frozen=True, slots=True)
class BrokerFacts:
    """What was seen of the broker.

    Attributes:
        address: Where it is, without what might be a password.
        local: Whether it is on this machine.
        max_packet_bytes: What the configuration lets a message have.
        error: Why it was not reached; empty if it was.
        refused: Whether it answered, and said no.
        version: 5, or 4 for MQTT 3.1.1.
        asked_version: ``mqtt.version``.
        limits: What it said when it accepted; None if it did not.
        software: What it calls itself; empty if it does not say.
        connect_ms: From the first byte to its yes.
        round_trips_ms: Of each message that came back.
        round_trip_error: Why none did; empty if one did.
        retained: Whether a retained message was given to a new subscription; None if it was not tried.
        persistent: What its own configuration says of restarts; None if it cannot be read.
        without_secret: Whether the gateway has a password that we were not given.
    """

    address: str
    local: bool
    max_packet_bytes: int
    asked_version: str = "auto"
    error: str = ""
    refused: bool = False
    version: int = 0
    limits: Accepted | None = None
    software: str = ""
    connect_ms: float = 0.0
    round_trips_ms: tuple[float, ...] = ()
    round_trip_error: str = ""
    retained: bool | None = None
    persistent: bool | None = None
    without_secret: bool = False


def judge_broker(facts: BrokerFacts) -> Iterator[Finding]:
    """Yield what is to be said of the broker."""
    yield _reachable(facts)
    if facts.limits is None:
        return
    yield _version(facts)
    yield from _limits(facts, facts.limits)
    yield _round_trip(facts)
    yield from _retain(facts, facts.limits)


def _reachable(facts: BrokerFacts) -> Finding:
    check = "broker.reachable"
    if facts.limits is not None:
        name = f" ({facts.software})" if facts.software else ""
        return ok(
            check, f"{facts.address}{name}: answers in {facts.connect_ms:.1f} ms", connect_ms=facts.connect_ms
        )
    words = f"{facts.address}: {facts.error}"
    if facts.refused and facts.without_secret:
        return note(
            check,
            words,
            "it was asked without the password, which the service alone is given",
            "sudo gateway doctor --only broker",
        )
    if facts.refused:
        return problem(
            check,
            words,
            "no sensor is heard, no result is published",
            "set mqtt.username and mqtt.password to what the broker knows",
            "on the broker: sudo mosquitto_passwd /etc/mosquitto/passwd USER",
        )
    return problem(
        check,
        words,
        "no sensor is heard, no result is published",
        "sudo systemctl enable --now mosquitto" if facts.local else "ping and nc -vz HOST PORT from here",
        "set mqtt.url to where the broker is",
    )


def _version(facts: BrokerFacts) -> Finding:
    check = "broker.version"
    if facts.version == _V5:
        return ok(check, "MQTT 5", version="5")
    if facts.asked_version == "3.1.1":
        return note(
            check,
            "MQTT 3.1.1, as mqtt.version says",
            "no expiry, no reasons, no flow control; releases over MQTT need 5",
            "set mqtt.version: auto",
            version="3.1.1",
        )
    return warning(
        check,
        "MQTT 3.1.1 alone",
        "no expiry, no reasons, no flow control; releases over MQTT need 5",
        "sudo apt install mosquitto  # 1.6 or newer, or another broker with MQTT 5",
        version="3.1.1",
    )


def _limits(facts: BrokerFacts, limits: Accepted) -> Iterator[Finding]:
    packet = limits.max_packet_bytes
    if packet < facts.max_packet_bytes:
        yield warning(
            "broker.packet_size",
            f"the broker takes {packet} bytes at most, mqtt.max_packet_bytes is {facts.max_packet_bytes}",
            "larger frames never come: the broker drops whoever sends them",
            f"on the broker: max_packet_size {facts.max_packet_bytes}",
            f"or set mqtt.max_packet_bytes: {packet}",
            limit_bytes=packet,
        )
    else:
        yield ok("broker.packet_size", f"packets of {packet} bytes", limit_bytes=packet)
    if limits.maximum_qos < 1:
        yield warning(
            "broker.qos",
            "QoS 0 alone",
            "orders, states and results of QoS 1 may be lost without a word",
            "on the broker: max_qos 1  # or 2",
            maximum_qos=limits.maximum_qos,
        )
    else:
        yield ok("broker.qos", f"QoS {limits.maximum_qos}", maximum_qos=limits.maximum_qos)
    if limits.receive_maximum < _FEW_UNCONFIRMED:
        yield note(
            "broker.receive_maximum",
            f"{limits.receive_maximum} unconfirmed messages at once",
            "results of QoS 1 wait for one another's confirmation",
            "on the broker: max_inflight_messages 20",
            receive_maximum=limits.receive_maximum,
        )
    else:
        yield ok(
            "broker.receive_maximum",
            f"{limits.receive_maximum} unconfirmed messages at once",
            receive_maximum=limits.receive_maximum,
        )
    yield ok(
        "broker.topic_alias",
        f"{limits.topic_alias_maximum or 'no'} topic aliases; the gateway uses none",
        topic_alias_maximum=limits.topic_alias_maximum,
    )


def _round_trip(facts: BrokerFacts) -> Finding:
    check, trips = "broker.round_trip", sorted(facts.round_trips_ms)
    if not trips:
        return problem(
            check,
            f"a message to our own topic did not come back: {facts.round_trip_error or 'no answer'}",
            "results would not arrive either: the broker's access list, most likely",
            "on the broker, in its acl file: topic readwrite gw/#",
        )
    median = trips[len(trips) // 2]
    words = f"{median:.1f} ms there and back (worst {trips[-1]:.1f} of {len(trips)})"
    figures: Figures = {"median_ms": median, "worst_ms": trips[-1]}
    if median > _SLOW_MS:
        return warning(
            check,
            words,
            "every frame and every result takes half of that besides the inference",
            "put a broker on this board: sudo apt install mosquitto, set mqtt.url: mqtt://127.0.0.1",
            **figures,
        )
    return ok(check, words, **figures)


def _retain(facts: BrokerFacts, limits: Accepted) -> Iterator[Finding]:
    if not limits.retain_available or facts.retained is False:
        yield problem(
            "broker.retain",
            "retained messages are not kept",
            "announcements and states are retained: sensors and gateways are not found",
            "on the broker: retain_available true",
            retained=False,
        )
        return
    yield ok(
        "broker.retain",
        "retained messages are kept" if facts.retained else "retained messages are said to be kept",
        retained=facts.retained,
    )
    if facts.persistent is None:
        yield note(
            "broker.persistence",
            "whether retained messages outlive a restart of the broker cannot be told from here",
            "if not, sensors are unknown after it until they announce themselves anew",
            "on the broker: grep -r persistence /etc/mosquitto/",
            persistent=None,
        )
    elif facts.persistent:
        yield ok("broker.persistence", "retained messages outlive a restart of the broker", persistent=True)
    else:
        yield warning(
            "broker.persistence",
            "retained messages are lost when the broker restarts",
            "sensors are unknown then until they announce themselves anew",
            "echo 'persistence true' | sudo tee /etc/mosquitto/conf.d/gateway-persistence.conf",
            "sudo systemctl restart mosquitto",
            persistent=False,
        )
