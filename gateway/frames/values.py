"""What a payload becomes once decoded: an image, audio, numbers or tensors.

Arrays may be views on the payload's memory: they are valid until the batch that
they belong to is answered, and nobody writes to them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.tensor import Array


@dataclass(frozen=True, slots=True)
class Image:
    """A decoded picture.

    Attributes:
        pixels: (H, W, 3) uint8 RGB, or (H, W, 1) uint8 grey.
        source_width: Width in pixels before any scaled decoding.
        source_height: Height in pixels before any scaled decoding.
    """

    pixels: NDArray[np.uint8]
    source_width: int
    source_height: int


@dataclass(frozen=True, slots=True)
class Audio:
    """Mono sound.

    Attributes:
        samples: (n,) float32 in [-1, 1).
        rate_hz: Samples a second.
    """

    samples: NDArray[np.float32]
    rate_hz: float


@dataclass(frozen=True, slots=True)
class Numbers:
    """Readings over time.

    Attributes:
        values: (n, channels) float32, oldest first.
        names: One name a channel; empty if unknown.
    """

    values: NDArray[np.float32]
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tensors:
    """Tensors as sent, by name; the name is empty when the sender gave none.

    Attributes:
        arrays: Read-only arrays of any supported dtype.
        layout: Axes such as ``HWC``; empty if unknown.
    """

    arrays: dict[str, Array]
    layout: str = ""


Value = Image | Audio | Numbers | Tensors
