"""What a pipeline will do with a picture, told to the decoder so that it does not decode more than that."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gateway.frames.geometry import Fit, Placement, place


@dataclass(frozen=True, slots=True)
class DecodeHint:
    """The model's picture size, and how the source will be laid on it.

    Attributes:
        width: Target width in pixels.
        height: Target height in pixels.
        fit: How the forms are reconciled.
        fraction: Central part that is kept; see ``place``.
        grey: Whether the model takes one channel.
    """

    width: int
    height: int
    fit: Fit = Fit.STRETCH
    fraction: float = 1.0
    grey: bool = False

    def placement(self, source_width: int, source_height: int) -> Placement:
        """Return how a source of this size will be laid on the target."""
        return place((source_width, source_height), (self.width, self.height), self.fit, self.fraction)

    def needed_size(self, source_width: int, source_height: int) -> tuple[int, int]:
        """Return the least (width, height) to decode to so that nothing is enlarged later.

        A side whose source is smaller than the target is needed whole.
        """
        laid = self.placement(source_width, source_height)
        return (
            min(source_width, math.ceil(source_width * laid.scale_x - 1e-9)),
            min(source_height, math.ceil(source_height * laid.scale_y - 1e-9)),
        )
