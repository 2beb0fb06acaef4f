"""The three simulated sensors: what they are called, what they say of themselves, what they send."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.demo.accelerometer import SHAPE, WINDOWS_A_SECOND, ReplayingAccelerometer
from gateway.demo.camera import HEIGHT, RATE_HZ, WIDTH, PanningCamera
from gateway.demo.microphone import CHUNKS_A_SECOND, LoopingMicrophone
from gateway.demo.recordings import PHOTOGRAPHS, motion, photograph, speech

ONLINE, STOPPED, LOST = "ready", "stopped", "lost"
# Silence after which nobody should believe that one of these is still there.
EXPIRE_S = 15


@dataclass(frozen=True, slots=True)
class SimulatedSensor:
    """One sensor with one stream.

    Attributes:
        id: Its id.
        name: Words for people.
        kind: ``camera``, ``microphone`` or ``accelerometer``.
        stream: Name of the stream.
        facts: What the stream's payloads are, as announced.
        rate_hz: Payloads a second.
        payload: Gives payload ``n``.
        qos: QoS of the payloads.
    """

    id: str
    name: str
    kind: str
    stream: str
    facts: Mapping[str, object]
    rate_hz: float
    payload: Callable[[int], bytes]
    qos: int = 0

    @property
    def topic(self) -> str:
        """Topic of the payloads."""
        return f"demo/{self.id}/{self.stream}"

    def announce_topic(self, prefix: str) -> str:
        """Return the topic of the announcement under the gateway's first topic level."""
        return f"{prefix}/announce/{self.id}"

    def state_topic(self, prefix: str) -> str:
        """Return the topic on which the sensor, or its will, says whether it is there."""
        return f"{self.announce_topic(prefix)}/state"

    def announcement(self, prefix: str, epoch: int) -> bytes:
        """Return the announcement, JSON; ``epoch`` is the unix time of the sensor's start."""
        told = {
            "v": 1,
            "id": self.id,
            "name": self.name,
            "kind": self.kind,
            "epoch": epoch,
            "streams": {self.stream: {"topic": self.topic, "qos": self.qos, **self.facts}},
            "state": {
                "topic": self.state_topic(prefix),
                "online": ONLINE,
                "offline": [LOST, STOPPED],
                "expire_s": EXPIRE_S,
            },
            "labels": {"site": "demo"},
        }
        return json.dumps(told, separators=(",", ":")).encode()


def camera() -> SimulatedSensor:
    """Return a camera: 640x480 JPEG pictures, ten a second."""
    view = PanningCamera([photograph(name) for name in PHOTOGRAPHS])
    # A newer picture takes the place of one that waits: an answer that comes late is still the newest.
    facts = {"media": "image/jpeg", "w": WIDTH, "h": HEIGHT, "fps": RATE_HZ, "ttl_ms": 3000}
    return SimulatedSensor("demo-camera", "Camera", "camera", "frame", facts, RATE_HZ, view.frame)


def microphone() -> SimulatedSensor:
    """Return a microphone: 16 kHz int16 PCM, 100 ms a payload."""
    ear = LoopingMicrophone(speech())
    # Sound has no use for the newest piece alone: none may be skipped.
    facts = {
        "media": "audio/pcm",
        "dtype": "int16",
        "rate_hz": ear.rate_hz,
        "channels": 1,
        "delivery": "every",
    }
    return SimulatedSensor(
        "demo-microphone", "Microphone", "microphone", "sound", facts, CHUNKS_A_SECOND, ear.chunk, qos=1
    )


def accelerometer() -> SimulatedSensor:
    """Return a smart watch: raw float32 tensors (100, 6), two a second."""
    watch = ReplayingAccelerometer(motion())
    facts = {
        "media": "application/vnd.gateway.tensor",
        "dtype": "float32",
        "shape": list(SHAPE),
        "rate_hz": 10,
    }
    return SimulatedSensor(
        "demo-watch", "Smart watch", "accelerometer", "motion", facts, WINDOWS_A_SECOND, watch.window
    )


def all_sensors() -> tuple[SimulatedSensor, ...]:
    """Return the three sensors, their recordings loaded."""
    return camera(), microphone(), accelerometer()
