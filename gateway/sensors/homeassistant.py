"""Home Assistant discovery, read from the other side: what devices tell the house, told to the gateway.

Both forms are taken: one message per entity, and one per device. The entities
of one device become the streams of one sensor, however many messages they came
in. Rules:

1. An empty message takes back what its topic said; for unknown topics it is nothing.
2. A component reduced to its platform is taken back alone.
3. The same message again is nothing: its digest is known. Home Assistant's own
   restarts make whole fleets repeat themselves.
4. Messages whose origin is ``gateway`` are our own results and never sensors.
5. ``migrate_discovery`` keeps the streams of a topic until the device message
   that takes them over, or the empty message after it, has come.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gateway.errors import MalformedAnnouncement, TooManySensors
from gateway.mqtt.message import Message
from gateway.sensors import document
from gateway.sensors.dialect import (
    Event,
    SensorAppeared,
    SensorChanged,
    SensorLost,
    Subscription,
)
from gateway.sensors.ha_component import PICTURES, TOPIC_KEYS, Component, read_component
from gateway.sensors.ha_message import ConfigTopic, Discovery, read_discovery, split_topic
from gateway.sensors.identity import identifier_mark, mac_mark, sensor_id, serial_mark
from gateway.sensors.sensor import Availability, Sensor, Stream
from gateway.sensors.topic_policy import TopicPolicy

NAME = "homeassistant"
OWN_ORIGIN = "gateway"
MAX_MARKS = 16
MAX_NOTES = 8


@dataclass(slots=True)
class _Entry:
    """What one discovery topic said last."""

    digest: bytes
    device: str
    identity: _Identity
    components: dict[str, Component]
    notes: tuple[str, ...] = ()
    migrating: bool = False


@dataclass(frozen=True, slots=True)
class _Identity:
    """What a message says of its device."""

    key: str
    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    marks: tuple[str, ...] = ()


class HomeAssistant:
    """The Home Assistant dialect.

    Args:
        prefix: First levels of discovery topics.
        policy: Which topics sensors may name.
        max_streams: Streams of one sensor at most.
    """

    name = NAME

    def __init__(self, prefix: str, policy: TopicPolicy, *, max_streams: int = 64) -> None:
        self._prefix = prefix
        self._policy = policy
        self._max_streams = max_streams
        self._entries: dict[str, _Entry] = {}
        self._topics_of: dict[str, dict[str, None]] = {}
        self._shown: set[str] = set()

    def filters(self) -> tuple[Subscription, ...]:
        """Return the two filters that Home Assistant itself listens on."""
        return (Subscription(f"{self._prefix}/+/+/config"), Subscription(f"{self._prefix}/+/+/+/config"))

    def receive(self, message: Message, now_s: float) -> tuple[Event, ...]:  # noqa: ARG002
        """Read one discovery message.

        Raises:
            MalformedAnnouncement: It cannot be read.
            ForbiddenTopic: A component names a topic that it must not.
            TooManySensors: The device would have more streams than allowed.
        """
        address = split_topic(message.topic, self._prefix)
        if address is None or (address.component != "device" and address.component not in TOPIC_KEYS):
            return ()
        if not message.payload:
            return self._taken_back(message.topic)
        digest = hashlib.blake2b(message.payload, digest_size=16).digest()
        known = self._entries.get(message.topic)
        if known is not None and known.digest == digest:
            return ()
        found = read_discovery(document.read_object(message.payload), address)
        if found.origin_name == OWN_ORIGIN:
            return self._taken_back(message.topic)
        if found.migrating and not found.device:
            if known is not None:
                known.migrating = True
                known.digest = digest
            return ()
        return self._told(message.topic, self._entry(digest, found, address))

    def forget(self, sensor_id: str) -> None:
        """Drop a device and all that was said of it."""
        for topic in self._topics_of.pop(sensor_id, {}):
            del self._entries[topic]
        self._shown.discard(sensor_id)

    def connected(self, now_s: float) -> tuple[Event, ...]:  # noqa: ARG002
        """Do nothing: devices repeat themselves for Home Assistant, not for listeners."""
        return ()

    def disconnected(self, now_s: float) -> tuple[Event, ...]:  # noqa: ARG002
        """Do nothing: discovery messages outlive connections."""
        return ()

    def handle_timer(self, now_s: float) -> tuple[Event, ...]:  # noqa: ARG002
        """Do nothing: this dialect has no time of its own."""
        return ()

    def next_wakeup_s(self) -> float | None:
        """Return None: this dialect has no time of its own."""
        return None

    def _entry(self, digest: bytes, found: Discovery, address: ConfigTopic) -> _Entry:
        identity = _identity(found.device, address)
        components: dict[str, Component] = {}
        notes: list[str] = []
        for key, options in found.components.items():
            try:
                component = read_component(key, options, self._policy)
            except MalformedAnnouncement as error:
                if address.component != "device":
                    raise
                notes.append(f"{document.printable(key)}: {error.message}")
                continue
            if component is not None:
                components[key] = component
        return _Entry(digest, sensor_id(identity.key), identity, components, tuple(notes[:MAX_NOTES]))

    def _told(self, topic: str, entry: _Entry) -> tuple[Event, ...]:
        known = self._entries.get(topic)
        if known is None and not entry.components:
            return ()
        others = sum(len(self._entries[other].components) for other in self._others(entry.device, topic))
        if others + len(entry.components) > self._max_streams:
            raise TooManySensors(f"device {entry.device!r}: at most {self._max_streams} streams are taken")
        events: tuple[Event, ...] = ()
        if known is not None and known.device != entry.device:
            events = self._taken_back(topic)
        self._entries[topic] = entry
        self._topics_of.setdefault(entry.device, {})[topic] = None
        return (*events, *self._shows(entry.device))

    def _others(self, device: str, topic: str) -> list[str]:
        return [other for other in self._topics_of.get(device, ()) if other != topic]

    def _taken_back(self, topic: str) -> tuple[Event, ...]:
        entry = self._entries.pop(topic, None)
        if entry is None:
            return ()
        topics = self._topics_of[entry.device]
        del topics[topic]
        if not topics:
            del self._topics_of[entry.device]
        return self._shows(entry.device)

    def _shows(self, device: str) -> tuple[Event, ...]:
        """Return how a device looks from outside after what was said or taken back."""
        entries = [self._entries[topic] for topic in self._topics_of.get(device, ())]
        sensor = _sensor(device, entries)
        if sensor is None:
            if device not in self._shown:
                return ()
            self._shown.discard(device)
            return (SensorLost(device, "its discovery messages were removed"),)
        if device in self._shown:
            return (SensorChanged(sensor),)
        self._shown.add(device)
        return (SensorAppeared(sensor),)


def _sensor(device: str, entries: list[_Entry]) -> Sensor | None:
    # what a device message says of an entity outranks the topic that is being migrated
    settled = [entry for entry in entries if not entry.migrating]
    taken = {part.unique_id for entry in settled for part in entry.components.values() if part.unique_id}
    parts = [part for entry in settled for part in entry.components.values()]
    for entry in entries:
        if entry.migrating:
            parts += [part for part in entry.components.values() if part.unique_id not in taken]
    if not parts:
        return None
    streams, notes = _named(parts)
    labels: dict[str, str] = {}
    for entry in entries:
        labels |= entry.identity.labels
        notes += entry.notes
    classes = sorted({part.device_class for part in parts if part.device_class})
    if classes:
        labels["device_class"] = ",".join(classes)[: document.MAX_TEXT]
    marks = dict.fromkeys(mark for entry in entries for mark in entry.identity.marks)
    return Sensor(
        id=device,
        dialect=NAME,
        streams=streams,
        name=next((entry.identity.name for entry in entries if entry.identity.name), parts[0].stream.title),
        kind="camera" if any(part.platform in PICTURES for part in parts) else "sensor",
        labels=labels,
        identifiers=tuple(marks)[:MAX_MARKS],
        availability=next((part.availability for part in parts if part.availability.sources), Availability()),
        notes=tuple(notes[:MAX_NOTES]),
    )


def _named(parts: list[Component]) -> tuple[dict[str, Stream], list[str]]:
    """Return streams by name; of two with one name the second is called by its platform too."""
    streams: dict[str, Stream] = {}
    notes = []
    for part in parts:
        stream = part.stream
        if stream.name in streams:
            stream = replace(stream, name=sensor_id(f"{part.platform}-{stream.name}"))
        if stream.name in streams:
            notes.append(f"{stream.name}: another stream has this name")
            continue
        streams[stream.name] = stream
    return streams, notes


def _identity(device: Mapping[str, object], address: ConfigTopic) -> _Identity:
    identifiers = _texts(device.get("identifiers"))
    connections = device.get("connections")
    hardware = []
    for pair in connections[:MAX_MARKS] if isinstance(connections, list) else ():
        if isinstance(pair, list) and len(pair) == 2:
            hardware += _texts(pair[1])
    serials = _texts(device.get("serial_number"))
    key = next(iter([*identifiers, *hardware]), "")
    marks = [identifier_mark(text) for text in identifiers]
    marks += [mac_mark(text) or identifier_mark(text) for text in hardware]
    marks += [serial_mark(text) for text in serials]
    labels = {}
    for name in ("manufacturer", "model", "suggested_area"):
        for text in _texts(device.get(name)):
            labels[name] = text
    return _Identity(
        key or "_".join(filter(None, (address.node, address.object))),
        next(iter(_texts(device.get("name"))), ""),
        labels,
        tuple(dict.fromkeys(mark for mark in marks if mark)),
    )


def _texts(value: object) -> list[str]:
    """Return a string, a number, or a list of them as printable texts; anything else as none."""
    listed = value[:MAX_MARKS] if isinstance(value, list) else [value]
    texts = []
    for item in listed:
        if isinstance(item, int) and not isinstance(item, bool) and abs(item) < 2**63:
            texts.append(str(item))
        elif isinstance(item, str):
            texts.append(document.printable(item))
    return [text for text in texts if text]
