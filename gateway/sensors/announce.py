"""The gateway's own announcements: one retained message in which a sensor says what it sends, and where.

``<prefix>/announce/<sensor>`` holds JSON, or CBOR when the content type says so;
an empty one takes the sensor back. The format is described for device makers in
``docs/announce.md``. Unknown keys are ignored, so that old gateways read new
sensors of the same major version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import cast

from gateway.errors import MalformedAnnouncement, OversizeAnnouncement, TooManySensors
from gateway.frames.declaration import Declaration
from gateway.mqtt.message import Message
from gateway.sensors import document
from gateway.sensors.dialect import (
    Event,
    PublishAsked,
    SensorAppeared,
    SensorChanged,
    SensorLost,
    Subscription,
)
from gateway.sensors.identity import identifier_mark, is_sensor_id, mac_mark, serial_mark
from gateway.sensors.sensor import Availability, Delivery, Sensor, StateSource, Stream
from gateway.sensors.topic_policy import TopicPolicy

NAME = "announce"
VERSION = 1
MAX_LABELS = 32
MAX_AXES = 8

_CBOR = "application/cbor"
_ENCODINGS = ("", "base64", "data-uri", "gzip")
_SIZES = 2**31 - 1

CborReader = Callable[[bytes], object]
"""Reads CBOR bytes to plain values; raises a ``GatewayError`` for any other bytes."""


class Announcements:
    """The native dialect.

    Args:
        prefix: First level of the gateway's own topics.
        policy: Which topics sensors may name.
        max_streams: Streams of one sensor at most.
        hello: Identity said on ``<prefix>/hello`` at each connection, upon which
            sensors announce themselves again; none when empty.
        read_cbor: Reader of CBOR announcements; they are refused when None.
    """

    name = NAME

    def __init__(
        self,
        prefix: str,
        policy: TopicPolicy,
        *,
        max_streams: int = 64,
        hello: Mapping[str, str | int] | None = None,
        read_cbor: CborReader | None = None,
    ) -> None:
        self._root = f"{prefix}/announce/"
        self._hello_topic = f"{prefix}/hello"
        self._policy = policy
        self._max_streams = max_streams
        self._hello = json.dumps(dict(hello), separators=(",", ":")).encode() if hello else b""
        self._read_cbor = read_cbor
        self._digests: dict[str, bytes] = {}

    def filters(self) -> tuple[Subscription, ...]:
        """Return the one filter of announcements; state topics are watched one by one."""
        return (Subscription(f"{self._root}+"),)

    def receive(self, message: Message, now_s: float) -> tuple[Event, ...]:  # noqa: ARG002
        """Read one announcement.

        Raises:
            MalformedAnnouncement: It cannot be read.
            TooManySensors: It names more streams than allowed.
            OversizeAnnouncement: It carries more labels than allowed.
            ForbiddenTopic: It names a topic that it must not.
        """
        if not message.topic.startswith(self._root):
            return ()
        sensor_id = message.topic[len(self._root) :]
        if not is_sensor_id(sensor_id):
            raise MalformedAnnouncement(
                f"announcement of {sensor_id[:80]!r}: an id is a-z, 0-9 and -, at most 63 long"
            )
        known = self._digests.get(sensor_id)
        if not message.payload:
            if known is None:
                return ()
            del self._digests[sensor_id]
            return (SensorLost(sensor_id, "its announcement was removed"),)
        digest = hashlib.blake2b(message.payload, digest_size=16).digest()
        if digest == known:
            return ()
        sensor = self._read(sensor_id, self._open(message))
        self._digests[sensor_id] = digest
        return (SensorAppeared(sensor) if known is None else SensorChanged(sensor),)

    def forget(self, sensor_id: str) -> None:
        """Let the next announcement of this sensor count as new."""
        self._digests.pop(sensor_id, None)

    def connected(self, now_s: float) -> tuple[Event, ...]:  # noqa: ARG002
        """Ask all sensors to announce themselves, in case the broker lost what it kept."""
        return (PublishAsked(self._hello_topic, self._hello),) if self._hello else ()

    def disconnected(self, now_s: float) -> tuple[Event, ...]:  # noqa: ARG002
        """Do nothing: announcements outlive connections."""
        return ()

    def handle_timer(self, now_s: float) -> tuple[Event, ...]:  # noqa: ARG002
        """Do nothing: this dialect has no time of its own."""
        return ()

    def next_wakeup_s(self) -> float | None:
        """Return None: this dialect has no time of its own."""
        return None

    def _open(self, message: Message) -> dict[str, object]:
        if message.content_type.partition(";")[0].strip().lower() != _CBOR:
            return document.read_object(message.payload)
        if self._read_cbor is None:
            raise MalformedAnnouncement("CBOR announcements are not read here")
        return document.read_cbor_object(message.payload, self._read_cbor)

    def _read(self, sensor_id: str, found: Mapping[str, object]) -> Sensor:
        if document.integer(found, "v") != VERSION:
            raise MalformedAnnouncement(f"v: only version {VERSION} is understood here")
        claimed = document.text(found, "id", sensor_id)
        if claimed != sensor_id:
            raise MalformedAnnouncement(f"id {claimed[:80]!r} differs from its topic's {sensor_id!r}")
        labels = _labels(found)
        availability, expire_s = self._state(found)
        return Sensor(
            id=sensor_id,
            dialect=NAME,
            streams=self._streams(found),
            name=document.words(found, "name"),
            kind=document.words(found, "kind"),
            epoch=document.integer(found, "epoch"),
            labels=labels,
            identifiers=_identifiers(found, labels),
            availability=availability,
            expire_s=expire_s,
            pipeline_hint=document.words(found, "pipeline"),
        )

    def _streams(self, found: Mapping[str, object]) -> dict[str, Stream]:
        listed = document.as_object(found.get("streams"), "streams")
        if not listed:
            raise MalformedAnnouncement("streams: at least one is needed")
        if len(listed) > self._max_streams:
            raise TooManySensors(f"streams: {len(listed)}, at most {self._max_streams} are taken")
        return {name: self._stream(name, value) for name, value in listed.items()}

    def _stream(self, name: str, value: object) -> Stream:
        if not is_sensor_id(name.replace("_", "-")):
            raise MalformedAnnouncement(f"stream {name[:80]!r}: a name is a-z, 0-9, - and _, at most 63 long")
        found = document.as_object(value, f"stream {name}")
        delivery = document.text(found, "delivery", "latest")
        if delivery not in ("latest", "every"):
            raise MalformedAnnouncement(f"delivery {delivery[:40]!r}: latest or every is expected")
        return Stream(
            name=name,
            topic=self._policy.check_stream(document.text(found, "topic")),
            declaration=read_declaration(found),
            qos=min(1, document.integer(found, "qos", high=2)),
            ttl_ms=document.integer(found, "ttl_ms", high=3_600_000),
            delivery=cast("Delivery", delivery),
            title=document.words(found, "title"),
        )

    def _state(self, found: Mapping[str, object]) -> tuple[Availability, float]:
        if found.get("state") is None:
            return Availability(), 0.0
        state = document.as_object(found["state"], "state")
        expire_s = document.number(state, "expire_s", high=604_800)
        if "topic" not in state:
            return Availability(), expire_s
        source = StateSource(
            topic=self._policy.check_state(document.text(state, "topic")),
            online=_meanings(state, "online", ("ready",)),
            offline=_meanings(state, "offline", ("lost", "stopped")),
            sleeping=_meanings(state, "sleeping", ("sleeping",)),
        )
        return Availability((source,)), expire_s


def read_declaration(found: Mapping[str, object]) -> Declaration:
    """Return what a stream's object says of its payloads.

    Raises:
        MalformedAnnouncement: A known key holds the wrong kind of value.
    """
    encoding = document.text(found, "encoding")
    if encoding not in _ENCODINGS:
        raise MalformedAnnouncement(f"encoding {encoding[:40]!r}: base64, data-uri and gzip are understood")
    shape = found.get("shape", ())
    if not isinstance(shape, list | tuple) or len(shape) > MAX_AXES:
        raise MalformedAnnouncement(f"shape: a list of at most {MAX_AXES} sizes is expected")
    fields = found.get("fields", ())
    if not isinstance(fields, list | tuple) or len(fields) > document.MAX_TEXT:
        raise MalformedAnnouncement("fields: a list of paths is expected")
    media = document.words(found, "media").partition(";")[0].strip().lower()
    return Declaration(
        media=media,
        dtype=document.words(found, "dtype"),
        shape=tuple(document.integer({"shape": size}, "shape", low=-1, high=_SIZES) for size in shape),
        layout=document.words(found, "layout"),
        rate_hz=document.number(found, "rate_hz", high=10_000_000),
        channels=document.integer(found, "channels", 1, low=1, high=64),
        encoding=encoding,
        fields=tuple(document.words({"fields": path}, "fields") for path in fields),
        name=document.words(found, "tensor"),
        scale=document.number(found, "scale"),
        zero_point=document.integer(found, "zero_point", low=-(2**31), high=_SIZES),
    )


def _labels(found: Mapping[str, object]) -> dict[str, str]:
    labels = document.as_object(found.get("labels", {}), "labels")
    if len(labels) > MAX_LABELS:
        raise OversizeAnnouncement(f"labels: {len(labels)}, at most {MAX_LABELS} are taken")
    return {document.printable(key): document.words(labels, key) for key in labels}


def _identifiers(found: Mapping[str, object], labels: Mapping[str, str]) -> tuple[str, ...]:
    listed = found.get("identifiers", [])
    if not isinstance(listed, list | tuple) or len(listed) > MAX_LABELS:
        raise MalformedAnnouncement(f"identifiers: a list of at most {MAX_LABELS} strings is expected")
    marks = [mac_mark(labels.get("mac", "")), serial_mark(labels.get("serial", ""))]
    marks += [identifier_mark(document.words({"identifiers": item}, "identifiers")) for item in listed]
    return tuple(dict.fromkeys(mark for mark in marks if mark))


def _meanings(state: Mapping[str, object], key: str, default: tuple[str, ...]) -> tuple[str, ...]:
    value = state.get(key)
    if value is None:
        return default
    listed = value if isinstance(value, list) else [value]
    if len(listed) > MAX_AXES:
        raise MalformedAnnouncement(f"{key}: at most {MAX_AXES} texts are taken")
    return tuple(document.text({key: item}, key) for item in listed)
