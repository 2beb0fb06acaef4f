"""Anchors of single-shot detectors: the boxes that a model's raw boxes are told relative to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class AnchorScales:
    """Sizes of anchors that have a size of their own.

    Attributes:
        least: Anchor size on the first grid, as a fraction of the picture.
        greatest: Anchor size on the last grid.
        aspect_ratios: Width over height, one anchor each.
        reduce_first: True if the first grid has three anchors a cell only.
    """

    least: float
    greatest: float
    aspect_ratios: tuple[float, ...]
    reduce_first: bool


def unit_anchors(size: tuple[int, int], strides: Sequence[int], per_cell: Sequence[int]) -> Floats:
    """Return anchors (n, 4: centre x, y, width, height) as fractions, all as large as the picture.

    Args:
        size: Width and height of the picture.
        strides: Pixels from one cell to the next, one a grid.
        per_cell: Anchors a cell, one a grid.
    """
    grids = []
    for stride, count in zip(strides, per_cell, strict=True):
        centres = np.repeat(_centres(size, stride), count, axis=0)
        grids.append(np.concatenate((centres, np.ones_like(centres)), axis=1))
    return np.concatenate(grids)


def sized_anchors(size: tuple[int, int], strides: Sequence[int], scales: AnchorScales) -> Floats:
    """Return anchors (n, 4: centre x, y, width, height) as fractions, with SSD's sizes.

    On each grid the sizes are one a ratio, and one more of ratio 1 between this
    grid's scale and the next's.
    """
    steps = np.linspace(scales.least, scales.greatest, len(strides)).tolist()
    grids = []
    for index, stride in enumerate(strides):
        following = steps[index + 1] if index + 1 < len(steps) else 1.0
        if index == 0 and scales.reduce_first:
            forms = [(0.1, 1.0), (steps[0], 2.0), (steps[0], 0.5)]
        else:
            forms = [(steps[index], ratio) for ratio in scales.aspect_ratios]
            forms.append((float(np.sqrt(steps[index] * following)), 1.0))
        shapes = np.array([(scale * ratio**0.5, scale / ratio**0.5) for scale, ratio in forms])
        centres = _centres(size, stride)
        grids.append(
            np.concatenate(
                (np.repeat(centres, len(shapes), axis=0), np.tile(shapes, (len(centres), 1))),
                axis=1,
            )
        )
    return np.concatenate(grids)


def _centres(size: tuple[int, int], stride: int) -> Floats:
    columns, rows = -(-size[0] // stride), -(-size[1] // stride)
    across = (np.arange(columns) + 0.5) / columns
    down = (np.arange(rows) + 0.5) / rows
    return np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2)
