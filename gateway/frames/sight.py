"""The way from a model's picture back to the source: a scale and a shift an axis, step by step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.frames.geometry import Placement

SIGHT = "sight"


@dataclass(frozen=True, slots=True)
class Sight:
    """Where the pixels now shown lie in the source: source = scale * shown + origin.

    Attributes:
        width: Width of the source in pixels.
        height: Height of the source in pixels.
        scale_x: Source columns to one shown column.
        scale_y: Source rows to one shown row.
        origin_x: Source column of the shown left edge.
        origin_y: Source row of the shown top edge.
    """

    width: int
    height: int
    scale_x: float = 1.0
    scale_y: float = 1.0
    origin_x: float = 0.0
    origin_y: float = 0.0

    def through(self, placement: Placement) -> Sight:
        """Return the sight after what is shown now was laid on a target."""
        step_x, step_y = 1 / placement.scale_x, 1 / placement.scale_y
        return self._composed(
            (step_x, placement.box[0] - placement.left * step_x),
            (step_y, placement.box[1] - placement.top * step_y),
        )

    def cropped(self, left: float, top: float, stretch_x: float, stretch_y: float) -> Sight:
        """Return the sight after a crop at (left, top) whose size was then rounded.

        Args:
            left: First column kept, in shown columns.
            top: First row kept, in shown rows.
            stretch_x: True width of what is kept over its rounded width.
            stretch_y: True height of what is kept over its rounded height.
        """
        return self._composed((stretch_x, left), (stretch_y, top))

    def points(self, shown: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return shown points (..., 2) in source pixels (..., 2), not clipped."""
        scale = np.array((self.scale_x, self.scale_y))
        source: NDArray[np.float64] = shown * scale + np.array((self.origin_x, self.origin_y))
        return source

    def boxes(self, shown: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return shown boxes (n, 4: x0, y0, x1, y1) in source pixels (n, 4), clipped to the source."""
        limits = np.array((self.width, self.height), np.float64)
        return np.clip(self.points(shown.reshape(-1, 2, 2)), 0, limits).reshape(-1, 4)

    def _composed(self, across: tuple[float, float], down: tuple[float, float]) -> Sight:
        return Sight(
            self.width,
            self.height,
            self.scale_x * across[0],
            self.scale_y * down[0],
            self.scale_x * across[1] + self.origin_x,
            self.scale_y * down[1] + self.origin_y,
        )
