"""What the gateway knows of a sensor: its streams, who says that it lives, and what it is called.

Every dialect, the configuration and learn mode make the same values; from here
on nobody asks where a sensor came from, except to rank two claims on one name.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.frames.declaration import Declaration
from gateway.sensors.template import Template

DECLARED = "declared"
LEARNED = "learned"

Delivery = Literal["latest", "every"]


@dataclass(frozen=True, slots=True)
class Reading:
    """How one number is taken from a message that no decoder can read as it is.

    Attributes:
        template: Expression that gives the value; None takes the whole payload.
        words: Numbers behind words, such as ``{"ON": 1.0, "OFF": 0.0}``.
    """

    template: Template | None = None
    words: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Stream:
    """One topic of a sensor, or one part of what is sent on it.

    Attributes:
        name: Name within the sensor.
        topic: Topic of the payloads, free of wildcards. Empty when the dialect
            itself hands the frames on, as stateful wire formats need.
        declaration: What is known of the payloads.
        qos: QoS of the subscription, 0 or 1.
        ttl_ms: Age at which a frame is worthless; 0 leaves it to the pipeline.
        delivery: ``latest`` replaces a waiting frame; ``every`` queues all.
        expire_s: Declared silence after which the stream counts as silent; 0
            when it is to be learned.
        reading: How the front end turns a message into a number; None when the
            payload goes to the decoder as it came.
        title: Words for people.
    """

    name: str
    topic: str
    declaration: Declaration = field(default_factory=Declaration)
    qos: int = 0
    ttl_ms: int = 0
    delivery: Delivery = "latest"
    expire_s: float = 0.0
    reading: Reading | None = None
    title: str = ""


@dataclass(frozen=True, slots=True)
class StateSource:
    """A topic on which somebody says whether the sensor is there.

    Attributes:
        topic: Topic of the messages, free of wildcards.
        online: Texts that mean present.
        offline: Texts that mean absent.
        sleeping: Texts that mean silent on purpose.
        template: Expression that gives the text; None takes the payload.
    """

    topic: str
    online: tuple[str, ...]
    offline: tuple[str, ...]
    sleeping: tuple[str, ...] = ()
    template: Template | None = None


class AvailabilityMode(enum.Enum):
    """How several state sources make one answer."""

    ALL = "all"
    ANY = "any"
    LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Availability:
    """Who says whether a sensor is there, and how they are weighed.

    Attributes:
        sources: Empty when nobody does and only data shows life.
        mode: Rule when there are several sources.
    """

    sources: tuple[StateSource, ...] = ()
    mode: AvailabilityMode = AvailabilityMode.LATEST


@dataclass(frozen=True, slots=True)
class Sensor:
    """A sensor as claimed by one dialect, by the configuration, or by learning.

    Attributes:
        id: Identity in topics and metrics: ``[a-z0-9][a-z0-9-]{0,62}``.
        dialect: Name of who claims it: a dialect, ``declared`` or ``learned``.
        streams: Streams by name.
        name: Words for people; free of control characters.
        kind: ``camera``, ``microphone`` ...; empty if unknown.
        epoch: Boot time or counter: of two devices with one id the higher wins.
        labels: Free labels, matched by admission rules.
        identifiers: Normalised marks of the device (``mac:...``, ``serial:...``,
            ``id:...``), by which one device behind two dialects is noticed.
        availability: Who says whether it is there.
        expire_s: Declared silence of the whole sensor that means stale; 0 when
            it is to be learned.
        pipeline_hint: Pipeline that the sensor wishes for; policy decides.
        notes: What could not be used of its announcement, for people.
    """

    id: str
    dialect: str
    streams: Mapping[str, Stream]
    name: str = ""
    kind: str = ""
    epoch: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    identifiers: tuple[str, ...] = ()
    availability: Availability = field(default_factory=Availability)
    expire_s: float = 0.0
    pipeline_hint: str = ""
    notes: tuple[str, ...] = ()
