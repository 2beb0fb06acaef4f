"""The seam between discovery and one way in which sensors make themselves known.

A dialect is a pure core: messages and time go in, events come out. It is asked
for its standing filters once a connection; more topics are asked for by events,
as dialects with a description behind a state topic need. Dialects that carry
data inside their own envelopes (aliases, sequence numbers, rebirth requests)
keep that state themselves and hand frames on as ``FrameCarried``.

Rules for every dialect:

1. Any bytes give events or one leaf of ``SensorRefused``, in bounded time.
2. The same message twice is the same as once (retained replays).
3. A sensor id names the same device for as long as the dialect knows it.
4. What is kept is bounded by the sensors that the registry took: ``forget`` ends it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Protocol

from gateway.frames.declaration import Declaration
from gateway.mqtt.message import Message
from gateway.sensors.sensor import Sensor


@dataclass(frozen=True, slots=True)
class Subscription:
    """A filter that discovery listens on.

    Attributes:
        filter: MQTT topic filter.
        qos: QoS asked for.
        latest_only: Of several waiting messages on one topic only the newest
            matters. False where each one counts, as with sequence numbers.
    """

    filter: str
    qos: int = 1
    latest_only: bool = True


class Report(enum.Enum):
    """What is said of a sensor's presence."""

    ONLINE = "online"
    OFFLINE = "offline"
    SLEEPING = "sleeping"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class SensorAppeared:
    """A sensor that the dialect did not know."""

    sensor: Sensor


@dataclass(frozen=True, slots=True)
class SensorChanged:
    """A known sensor describes itself anew."""

    sensor: Sensor


@dataclass(frozen=True, slots=True)
class SensorLost:
    """A sensor took its description back."""

    sensor_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class StateReported:
    """The dialect itself learned whether a sensor is there."""

    sensor_id: str
    report: Report
    reason: str


@dataclass(frozen=True, slots=True)
class FrameCarried:
    """A frame that came inside one of the dialect's own messages.

    Attributes:
        sensor_id: Sensor that sent it.
        stream: Name of a stream whose topic is empty.
        payload: The frame's own bytes.
        declaration: What the envelope says of them.
    """

    sensor_id: str
    stream: str
    payload: bytes
    declaration: Declaration = field(default_factory=Declaration)


@dataclass(frozen=True, slots=True)
class WatchAsked:
    """The dialect wants another filter."""

    subscription: Subscription


@dataclass(frozen=True, slots=True)
class UnwatchAsked:
    """The dialect no longer wants a filter that it asked for."""

    filter: str


@dataclass(frozen=True, slots=True)
class PublishAsked:
    """The dialect wants something said, such as a request to be born again."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False


Event = (
    SensorAppeared
    | SensorChanged
    | SensorLost
    | StateReported
    | FrameCarried
    | WatchAsked
    | UnwatchAsked
    | PublishAsked
)


class Dialect(Protocol):
    """One way of making sensors known."""

    @property
    def name(self) -> str:
        """Stable name, used by admission rules, metrics and logs."""
        ...

    def filters(self) -> tuple[Subscription, ...]:
        """Filters wanted on every connection."""
        ...

    def receive(self, message: Message, now_s: float) -> tuple[Event, ...]:
        """Read one message on a filter of this dialect.

        Raises:
            SensorRefused: One of its leaves; nothing was changed.
        """
        ...

    def forget(self, sensor_id: str) -> None:
        """Drop what is kept of a sensor that was refused or is gone: it may appear anew."""
        ...

    def connected(self, now_s: float) -> tuple[Event, ...]:
        """Note that the broker is there; say what is to be said first."""
        ...

    def disconnected(self, now_s: float) -> tuple[Event, ...]:
        """Note that the broker is away: sessions of stateful formats end here."""
        ...

    def handle_timer(self, now_s: float) -> tuple[Event, ...]:
        """Do what is due at ``now_s``."""
        ...

    def next_wakeup_s(self) -> float | None:
        """Time at which ``handle_timer`` has something to do; None if never."""
        ...
