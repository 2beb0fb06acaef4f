"""One component of a Home Assistant announcement as a stream, where it can feed a model.

Cameras, images, sensors, binary sensors and numbers are sources; every other
platform is not, and passes without complaint.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.errors import MalformedAnnouncement
from gateway.frames.declaration import Declaration
from gateway.sensors import document
from gateway.sensors.identity import sensor_id
from gateway.sensors.sensor import Availability, AvailabilityMode, Reading, StateSource, Stream
from gateway.sensors.template import Template, parse_template
from gateway.sensors.topic_policy import TopicPolicy

TOPIC_KEYS = {
    "camera": "topic",
    "image": "image_topic",
    "sensor": "state_topic",
    "binary_sensor": "state_topic",
    "number": "state_topic",
}
"""Platforms that can feed a model, and the key of the topic that does."""

PICTURES = frozenset({"camera", "image"})
MAX_SOURCES = 16
_LONGEST_EXPIRY_S = 604_800
_JSON = "application/json"
_PLAIN_KEY = re.compile(r"[\w -]+")


@dataclass(frozen=True, slots=True)
class Component:
    """A component that can feed a model.

    Attributes:
        platform: A key of ``TOPIC_KEYS``.
        unique_id: What the sender says of its identity; empty if nothing.
        stream: What it sends.
        availability: Who says whether it is there.
        device_class: Such as ``temperature``; empty if unknown.
    """

    platform: str
    unique_id: str
    stream: Stream
    availability: Availability
    device_class: str = ""


def read_component(key: str, options: Mapping[str, object], policy: TopicPolicy) -> Component | None:
    """Return the stream behind one component, or None if it is no source.

    Args:
        key: Its key in the message, or the last id of its topic.
        options: Its options in long form.
        policy: Which topics it may name.

    Raises:
        MalformedAnnouncement: An option cannot be understood.
        ForbiddenTopic: It names a topic that it must not.
    """
    platform = options.get("platform")
    if not isinstance(platform, str) or platform not in TOPIC_KEYS:
        return None
    topic = options.get(TOPIC_KEYS[platform])
    if topic is None:
        return None  # an image by URL, a number that only takes commands
    declaration, reading = _payload(platform, options)
    stream = Stream(
        name=sensor_id(key),
        topic=policy.check_stream(document.text(options, TOPIC_KEYS[platform])),
        declaration=declaration,
        qos=min(1, _whole(options, "qos", 2)),
        expire_s=float(_whole(options, "expire_after", _LONGEST_EXPIRY_S)),
        reading=reading,
        title=_words(options, "name"),
    )
    return Component(
        platform,
        _words(options, "unique_id"),
        stream,
        read_availability(options, policy),
        _words(options, "device_class"),
    )


def read_availability(options: Mapping[str, object], policy: TopicPolicy) -> Availability:
    """Return who says whether a component is there.

    Raises:
        MalformedAnnouncement: Both forms are used at once, or one cannot be understood.
        ForbiddenTopic: A source names a topic that it must not.
    """
    listed = options.get("availability")
    single = options.get("availability_topic")
    if listed is not None and single is not None:
        raise MalformedAnnouncement("availability and availability_topic exclude each other")
    mode = document.text(options, "availability_mode", "latest")
    if mode not in ("all", "any", "latest"):
        raise MalformedAnnouncement(f"availability_mode {mode[:40]!r}: all, any or latest is expected")
    if single is not None:
        member = {**options, "topic": single, "value_template": options.get("availability_template")}
        return Availability((_source(member, policy),), AvailabilityMode(mode))
    if listed is None:
        return Availability()
    if not isinstance(listed, list) or len(listed) > MAX_SOURCES:
        raise MalformedAnnouncement(f"availability: a list of at most {MAX_SOURCES} topics is expected")
    return Availability(tuple(_source(member, policy) for member in listed), AvailabilityMode(mode))


def _source(member: Mapping[str, object], policy: TopicPolicy) -> StateSource:
    return StateSource(
        topic=policy.check_state(document.text(member, "topic")),
        online=(_scalar(member, "payload_available", "online"),),
        offline=(_scalar(member, "payload_not_available", "offline"),),
        template=_template(member),
    )


def _payload(platform: str, options: Mapping[str, object]) -> tuple[Declaration, Reading | None]:
    if platform in PICTURES:
        media = _words(options, "content_type").partition(";")[0].strip().lower()
        wrapped = options.get("image_encoding") == "b64"
        return Declaration(media=media, encoding="base64" if wrapped else ""), None
    template = _template(options)
    if platform == "binary_sensor":
        words = ((_scalar(options, "payload_on", "ON"), 1.0), (_scalar(options, "payload_off", "OFF"), 0.0))
        return Declaration(media=_JSON), Reading(template, words)
    if template is None:
        return Declaration(media=_JSON), None
    field = _field(template)
    if field:
        return Declaration(media=_JSON, fields=(field,)), None
    return Declaration(media=_JSON), Reading(template)


def _field(template: Template) -> str:
    """Return the path of a template that does nothing but follow one, for the decoder to follow."""
    if template.whole or template.filters:
        return ""
    path = ""
    for key in template.path:
        if isinstance(key, str) and _PLAIN_KEY.fullmatch(key):
            path += f".{key}" if path else key
        elif isinstance(key, int) and key >= 0:
            path += f"[{key}]"
        else:
            return ""
    return path


def _template(options: Mapping[str, object]) -> Template | None:
    if options.get("value_template") is None:
        return None
    return parse_template(document.text(options, "value_template"))


def _scalar(options: Mapping[str, object], key: str, default: str) -> str:
    """Return a payload as text, as Home Assistant turns any scalar into one."""
    value = options.get(key, default)
    if isinstance(value, bool | int | float):
        return str(value)
    return document.text(options, key, default)


def _words(options: Mapping[str, object], key: str) -> str:
    return document.words(options, key) if options.get(key) is not None else ""


def _whole(options: Mapping[str, object], key: str, high: int) -> int:
    value = options.get(key)
    if value is None:
        return 0
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 9:
        value = int(value)
    return document.integer({key: value}, key, high=high)
