"""What people are shown of the sensors: one plain record each, for status pages and commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.sensors.presence import Presence
from gateway.sensors.registry import Entry


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """One stream.

    Attributes:
        name: Its name.
        topic: Its topic; empty when its dialect carries it.
        media: Declared or guessed media type; empty if unknown.
        pipelines: Pipelines that take its frames.
    """

    name: str
    topic: str
    media: str
    pipelines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SensorStatus:
    """One sensor.

    Attributes:
        id: Its id.
        name: Words for people.
        kind: ``camera`` ...; empty if unknown.
        dialect: Who claims it.
        presence: State of its presence; ``unknown`` while it is not admitted.
        admission: ``admitted``, ``pending`` or ``denied``.
        reason: Why.
        streams: Its streams.
        labels: Its labels.
        alias_of: Id of a higher sensor that is the same device; empty if none.
        notes: What could not be used of its announcement.
        last_seen_s: Monotonic time of its last data; None if none came.
    """

    id: str
    name: str
    kind: str
    dialect: str
    presence: str
    admission: str
    reason: str
    streams: tuple[StreamStatus, ...]
    labels: Mapping[str, str]
    alias_of: str
    notes: tuple[str, ...]
    last_seen_s: float | None


@dataclass(frozen=True, slots=True)
class SensorsStatus:
    """All sensors.

    Attributes:
        sensors: The longest known first.
        refused: Refused announcements and messages by label of the reason.
    """

    sensors: tuple[SensorStatus, ...]
    refused: Mapping[str, int]


def sensor_status(entry: Entry, presence: Presence, last_seen_s: float | None) -> SensorStatus:
    """Return what people are shown of one sensor."""
    sensor = entry.sensor
    streams = tuple(
        StreamStatus(
            stream.name,
            stream.topic,
            stream.declaration.media,
            entry.bound[stream.name].pipelines if stream.name in entry.bound else (),
        )
        for stream in sensor.streams.values()
    )
    return SensorStatus(
        id=sensor.id,
        name=sensor.name,
        kind=sensor.kind,
        dialect=sensor.dialect,
        presence=presence.value,
        admission=entry.verdict.admission.value,
        reason=entry.verdict.reason,
        streams=streams,
        labels=sensor.labels,
        alias_of=entry.alias_of,
        notes=sensor.notes,
        last_seen_s=last_seen_s,
    )
