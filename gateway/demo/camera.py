"""A camera that pans over real photographs: frame numbers in, JPEG pictures out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from gateway.frames.geometry import Box
from gateway.frames.resize import resize

WIDTH, HEIGHT = 640, 480
RATE_HZ = 10.0
QUALITY = 85
FRAMES_A_PHOTOGRAPH = 30
# Part of the largest 4:3 window that is seen at once; the rest is room to move in.
ZOOM = 0.9


class PanningCamera:
    """Shows each photograph for three seconds while moving smoothly over it.

    Args:
        photographs: (H, W, 3) uint8 RGB each.
    """

    def __init__(self, photographs: Sequence[NDArray[np.uint8]]) -> None:
        self._photographs = tuple(photographs)

    def view(self, number: int) -> tuple[int, Box]:
        """Return which photograph frame ``number`` shows, and which part: left, top, right, bottom."""
        turn, step = divmod(number, FRAMES_A_PHOTOGRAPH)
        index = turn % len(self._photographs)
        height, width = self._photographs[index].shape[:2]
        scale = ZOOM * min(width / WIDTH, height / HEIGHT)
        wide, high = WIDTH * scale, HEIGHT * scale
        # One turn of a cosine brings the view to the far end and back, at rest where pictures change.
        along = (1.0 - math.cos(2.0 * math.pi * step / FRAMES_A_PHOTOGRAPH)) / 2.0
        left, top = along * (width - wide), (1.0 - along) * (height - high)
        return index, (left, top, min(left + wide, width), min(top + high, height))

    def pixels(self, number: int) -> NDArray[np.uint8]:
        """Return frame ``number`` as (480, 640, 3) uint8 RGB."""
        index, box = self.view(number)
        return resize(self._photographs[index], WIDTH, HEIGHT, box)

    def frame(self, number: int) -> bytes:
        """Return frame ``number`` as a JPEG file."""
        pixels = np.ascontiguousarray(self.pixels(number))
        encoded: bytes = simplejpeg.encode_jpeg(pixels, QUALITY, "RGB", "420")
        return encoded
