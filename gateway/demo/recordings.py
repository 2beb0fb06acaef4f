"""The demo's real data: photographs, a spoken recording and motion windows, read from the package."""

from __future__ import annotations

import io
import wave
from dataclasses import dataclass
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from gateway.frames.image import decode_png
from gateway.frames.limits import PayloadLimits

PHOTOGRAPHS = ("chelsea", "astronaut", "coffee")


@dataclass(frozen=True, slots=True)
class Speech:
    """A spoken recording with pauses.

    Attributes:
        samples: (n,) int16, mono.
        rate_hz: Samples a second.
    """

    samples: NDArray[np.int16]
    rate_hz: int


@dataclass(frozen=True, slots=True)
class Motion:
    """Recordings of a smart watch, ten seconds each at 10 Hz.

    Attributes:
        windows: (n, 100, 6) float32: acceleration x, y, z and rotation x, y, z.
        classes: (n,) uint8 indices into ``labels``: what was really done.
        labels: Names of the activities.
    """

    windows: NDArray[np.float32]
    classes: NDArray[np.uint8]
    labels: tuple[str, ...]


def _read(name: str) -> bytes:
    return resources.files("gateway.demo").joinpath("data", name).read_bytes()


def photograph(name: str) -> NDArray[np.uint8]:
    """Return one of ``PHOTOGRAPHS`` as (H, W, 3) uint8 RGB."""
    return decode_png(memoryview(_read(f"{name}.png")), PayloadLimits()).pixels


def speech() -> Speech:
    """Return the spoken recording."""
    with wave.open(io.BytesIO(_read("speech.wav"))) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)
        return Speech(samples, file.getframerate())


def motion() -> Motion:
    """Return the motion recordings."""
    with np.load(io.BytesIO(_read("motion.npz")), allow_pickle=False) as arrays:
        labels = tuple(str(label) for label in arrays["labels"])
        return Motion(arrays["windows"], arrays["classes"], labels)
