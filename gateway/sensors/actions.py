"""What discovery asks of its shell: subscriptions, bindings, presence to tell, refusals to count."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.errors import SensorRefused
from gateway.sensors.dialect import FrameCarried, PublishAsked
from gateway.sensors.presence import Presence
from gateway.sensors.sensor import Sensor, Stream


@dataclass(frozen=True, slots=True)
class Bind:
    """Take frames of a stream and give them to pipelines; replaces an earlier binding of the stream.

    Attributes:
        sensor: The sensor as now known.
        stream: Its stream; subscribe to its topic unless that is empty.
        pipelines: Names of pipelines, at least one.
    """

    sensor: Sensor
    stream: Stream
    pipelines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unbind:
    """Take no more frames of a stream.

    Attributes:
        sensor_id: The sensor.
        stream: Name of its stream.
        topic: Topic that was subscribed to; other bindings may still want it.
    """

    sensor_id: str
    stream: str
    topic: str


@dataclass(frozen=True, slots=True)
class Watch:
    """Subscribe discovery to a filter; asked once however many sensors want it."""

    filter: str
    qos: int


@dataclass(frozen=True, slots=True)
class Unwatch:
    """End a subscription that ``Watch`` asked for."""

    filter: str


@dataclass(frozen=True, slots=True)
class PresenceChanged:
    """A sensor's presence went from one state to another.

    Attributes:
        sensor_id: The sensor.
        old: State before.
        new: State now.
        reason: One phrase for logs and people.
        sensor: The sensor itself; None once it is forgotten.
    """

    sensor_id: str
    old: Presence
    new: Presence
    reason: str
    sensor: Sensor | None = None


@dataclass(frozen=True, slots=True)
class SensorNoted:
    """Something an operator should know about a sensor, and nothing to do for it.

    Attributes:
        sensor_id: The sensor.
        kind: ``admitted``, ``pending``, ``denied``, ``alias`` or ``replaced``.
        note: One sentence.
    """

    sensor_id: str
    kind: str
    note: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A message or sensor was dropped.

    Attributes:
        topic: Topic of the message; empty if there was none.
        error: What was wrong; its label is the key of counters.
    """

    topic: str
    error: SensorRefused


Action = (
    Bind | Unbind | Watch | Unwatch | PresenceChanged | SensorNoted | Refused | FrameCarried | PublishAsked
)
Actions = tuple[Action, ...]
