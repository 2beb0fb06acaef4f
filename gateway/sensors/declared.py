"""Sensors that are written down in the configuration, as the same values that discovery makes."""

from __future__ import annotations

from typing import cast

from gateway.configuration.settings import DeclaredSensor, StreamSettings
from gateway.frames.declaration import Declaration
from gateway.sensors.identity import mac_mark, serial_mark
from gateway.sensors.sensor import DECLARED, Availability, Delivery, Sensor, StateSource, Stream


def declared_sensor(id: str, settings: DeclaredSensor) -> Sensor:
    """Return the sensor that a part of the configuration describes."""
    availability = Availability()
    if settings.state_topic:
        source = StateSource(settings.state_topic, (settings.state_online,), (settings.state_offline,))
        availability = Availability((source,))
    marks = (mac_mark(settings.labels.get("mac", "")), serial_mark(settings.labels.get("serial", "")))
    return Sensor(
        id=id,
        dialect=DECLARED,
        streams={name: _stream(name, stream) for name, stream in settings.streams.items()},
        name=settings.name,
        kind=settings.kind,
        labels=dict(settings.labels),
        identifiers=tuple(mark for mark in marks if mark),
        availability=availability,
        expire_s=settings.expire_s,
    )


def _stream(name: str, settings: StreamSettings) -> Stream:
    return Stream(
        name=name,
        topic=settings.topic,
        declaration=Declaration(
            media=settings.media,
            dtype=settings.dtype,
            shape=settings.shape,
            layout=settings.layout,
            rate_hz=settings.rate_hz,
            channels=settings.channels,
            encoding=settings.encoding,
            fields=settings.fields,
        ),
        qos=settings.qos,
        ttl_ms=settings.ttl_ms,
        delivery=cast("Delivery", settings.delivery),
    )
