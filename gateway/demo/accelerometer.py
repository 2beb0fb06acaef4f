"""A smart watch that tells its last ten seconds of motion: window numbers in, raw tensors out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gateway.demo.recordings import Motion

WINDOWS_A_SECOND = 2
SHAPE = (100, 6)
# Recordings lie sorted by activity; a stride that shares no factor with their number mixes them.
_STRIDE = 11


class ReplayingAccelerometer:
    """Gives one real recording after the other.

    Args:
        motion: Recordings with what was really done in them.
    """

    def __init__(self, motion: Motion) -> None:
        self._windows = motion.windows.astype("<f4")
        self._classes = motion.classes
        self._labels = motion.labels

    def window(self, number: int) -> bytes:
        """Return window ``number``: (100, 6) float32 little-endian."""
        window: NDArray[np.float32] = self._windows[self._at(number)]
        return window.tobytes()

    def truth(self, number: int) -> str:
        """Return what was really done in window ``number``."""
        return self._labels[int(self._classes[self._at(number)])]

    def _at(self, number: int) -> int:
        return number * _STRIDE % len(self._windows)
