"""Sensors written in the configuration."""

from __future__ import annotations

from gateway.configuration.settings import DeclaredSensor, StreamSettings
from gateway.frames.declaration import Declaration
from gateway.sensors.declared import declared_sensor
from gateway.sensors.sensor import Availability, Sensor, StateSource, Stream


def test_every_key_of_a_declared_sensor_is_kept() -> None:
    stream = StreamSettings(
        topic="house/mic",
        media="audio/pcm",
        dtype="int16",
        shape=(-1,),
        layout="T",
        rate_hz=16000.0,
        channels=2,
        encoding="gzip",
        fields=("a.b",),
        qos=1,
        delivery="every",
        ttl_ms=500,
    )
    settings = DeclaredSensor(
        streams={"pcm": stream},
        name="Hall",
        kind="microphone",
        labels={"mac": "aa:bb:cc:00:11:22", "serial": "n/a"},
        state_topic="house/mic/state",
        state_online="up",
        state_offline="down",
        expire_s=9.0,
    )
    declaration = Declaration(
        media="audio/pcm",
        dtype="int16",
        shape=(-1,),
        layout="T",
        rate_hz=16000.0,
        channels=2,
        encoding="gzip",
        fields=("a.b",),
    )
    assert declared_sensor("hall", settings) == Sensor(
        id="hall",
        dialect="declared",
        streams={"pcm": Stream("pcm", "house/mic", declaration, 1, 500, "every")},
        name="Hall",
        kind="microphone",
        labels={"mac": "aa:bb:cc:00:11:22", "serial": "n/a"},
        identifiers=("mac:aabbcc001122",),
        availability=Availability((StateSource("house/mic/state", ("up",), ("down",)),)),
        expire_s=9.0,
    )
