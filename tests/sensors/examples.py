"""Sensors, messages and settings that the tests of this room share."""

from __future__ import annotations

import json
from collections.abc import Mapping

from gateway.configuration.settings import (
    AdmissionRule,
    DiscoverySettings,
    PipelineSettings,
    SensorSettings,
    Settings,
)
from gateway.mqtt.message import Message
from gateway.sensors.sensor import Sensor, Stream

CAMERA: dict[str, object] = {
    "v": 1,
    "id": "cam-7f3a",
    "name": "Door cam",
    "kind": "camera",
    "epoch": 1763800000,
    "streams": {
        "frame": {
            "topic": "yard/cam-7f3a/frame",
            "media": "image/jpeg",
            "w": 640,
            "h": 480,
            "fps": 5,
            "qos": 0,
            "ttl_ms": 1000,
        },
        "imu": {
            "topic": "yard/cam-7f3a/imu",
            "media": "application/vnd.gateway.tensor",
            "dtype": "int16",
            "shape": [-1, 6],
            "rate_hz": 100,
        },
    },
    "state": {
        "topic": "gw/announce/cam-7f3a/state",
        "online": "ready",
        "offline": "lost",
        "expire_s": 15,
    },
    "labels": {"site": "yard", "mac": "aa:bb:cc:00:11:22"},
    "pipeline": "person-detect",
}

ALLOW_ALL = AdmissionRule(action="allow", pipelines=("person-detect",))


def message(topic: str, payload: object, *, retain: bool = True, content_type: str = "") -> Message:
    """Return a message; anything but bytes is sent as JSON."""
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Message(topic, data, 1, retain, 0.0, content_type=content_type)


def announcement(id: str = "cam-7f3a", **changes: object) -> Message:
    """Return the camera's announcement under an id, with other values for some keys."""
    return message(f"gw/announce/{id}", {**CAMERA, "id": id, **changes})


def sensor(id: str = "cam", dialect: str = "announce", topic: str = "", **changes: object) -> Sensor:
    """Return a sensor with one stream."""
    streams = {"frame": Stream("frame", topic or f"yard/{id}/frame")}
    return Sensor(**{"id": id, "dialect": dialect, "streams": streams, **changes})  # type: ignore[arg-type]


def settings(
    *rules: AdmissionRule,
    pipelines: tuple[str, ...] = ("person-detect",),
    sensors: Mapping[str, object] | None = None,
) -> Settings:
    """Return settings with both dialects on."""
    given: dict[str, object] = {
        "discovery": DiscoverySettings(homeassistant=True),
        "admission": rules,
        **(sensors or {}),
    }
    return Settings(
        sensors=SensorSettings(**given),  # type: ignore[arg-type]
        pipelines={name: PipelineSettings(model="m") for name in pipelines},
    )
