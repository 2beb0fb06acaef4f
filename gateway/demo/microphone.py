"""A microphone that hears one recording over and over: chunk numbers in, PCM out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gateway.demo.recordings import Speech

CHUNKS_A_SECOND = 10


class LoopingMicrophone:
    """Gives 100 ms of sound a chunk.

    Args:
        speech: What it hears; its last, incomplete chunk is left out.

    Attributes:
        rate_hz: Samples a second.
    """

    def __init__(self, speech: Speech) -> None:
        self.rate_hz = speech.rate_hz
        size = speech.rate_hz // CHUNKS_A_SECOND
        whole = len(speech.samples) // size
        self._chunks = speech.samples[: whole * size].reshape(whole, size).astype("<i2")

    def chunk(self, number: int) -> bytes:
        """Return chunk ``number``: int16 little-endian samples."""
        samples: NDArray[np.int16] = self._chunks[number % len(self._chunks)]
        return samples.tobytes()
