"""How a picture is laid on a model's input, and how coordinates find their way back.

Everything is in pixels with the origin at the top left corner; boxes are
(left, top, right, bottom) and may have fractions. Pure functions; the numbers
never depend on what was decoded, only on sizes.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.errors import WrongShape

Box = tuple[float, float, float, float]


class Fit(str, enum.Enum):
    """What happens when the picture's form differs from the target's.

    Attributes:
        STRETCH: The whole picture fills the target; its form is not kept.
        LETTERBOX: The whole picture, form kept, centred between bars.
        COVER: The largest centred part with the target's form fills the target.
    """

    STRETCH = "stretch"
    LETTERBOX = "letterbox"
    COVER = "cover"


@dataclass(frozen=True, slots=True)
class Placement:
    """Which part of a source is drawn on which part of a target.

    Attributes:
        source_width: Width of the source in pixels.
        source_height: Height of the source in pixels.
        width: Width of the target in pixels.
        height: Height of the target in pixels.
        box: The part of the source that is drawn.
        left: First target column that is drawn on.
        top: First target row that is drawn on.
        inner_width: Columns drawn on.
        inner_height: Rows drawn on.
    """

    source_width: int
    source_height: int
    width: int
    height: int
    box: Box
    left: int
    top: int
    inner_width: int
    inner_height: int

    @property
    def scale_x(self) -> float:
        """Target columns to one source column."""
        return self.inner_width / (self.box[2] - self.box[0])

    @property
    def scale_y(self) -> float:
        """Target rows to one source row."""
        return self.inner_height / (self.box[3] - self.box[1])

    def box_on(self, width: int, height: int) -> Box:
        """Return ``box`` in the pixels of the same picture decoded at (width, height)."""
        across, down = _decoded_scale(width, self.source_width), _decoded_scale(height, self.source_height)
        left, top, right, bottom = self.box
        return (left * across, top * down, min(right * across, width), min(bottom * down, height))


def place(source: tuple[int, int], target: tuple[int, int], fit: Fit, fraction: float = 1.0) -> Placement:
    """Lay a source of (width, height) on a target of (width, height).

    Args:
        source: Width and height in pixels, at least 1.
        target: Width and height in pixels, at least 1.
        fit: What to do when the forms differ.
        fraction: Part of each side of the chosen area that is kept around the
            middle (0.875 is the usual central crop of classifiers); in (0, 1].

    Raises:
        WrongShape: A size is below 1 or the fraction is not in (0, 1].
    """
    width, height = source
    across, down = target
    if min(width, height, across, down) < 1 or not 0.0 < fraction <= 1.0:
        raise WrongShape(f"cannot lay {width}x{height} on {across}x{down} with fraction {fraction}")
    keep_x, keep_y = width * fraction, height * fraction
    inner_width, inner_height = across, down
    if fit is Fit.COVER:
        side = min(width / across, height / down) * fraction
        keep_x, keep_y = side * across, side * down
    elif fit is Fit.LETTERBOX:
        scale = min(across / width, down / height)
        inner_width = min(across, max(1, round(width * scale)))
        inner_height = min(down, max(1, round(height * scale)))
    left, top = (width - keep_x) / 2, (height - keep_y) / 2
    return Placement(
        source_width=width,
        source_height=height,
        width=across,
        height=down,
        box=(left, top, left + keep_x, top + keep_y),
        left=(across - inner_width) // 2,
        top=(down - inner_height) // 2,
        inner_width=inner_width,
        inner_height=inner_height,
    )


def place_box(source: tuple[int, int], target: tuple[int, int], box: Box) -> Placement:
    """Lay one part of a source on the whole target, stretched.

    Args:
        source: Width and height in pixels, at least 1.
        target: Width and height in pixels, at least 1.
        box: The part, in source pixels; cut to the source.

    Raises:
        WrongShape: Nothing of the box lies inside the source.
    """
    whole = place(source, target, Fit.STRETCH)
    left, top = max(0.0, box[0]), max(0.0, box[1])
    right, bottom = min(float(source[0]), box[2]), min(float(source[1]), box[3])
    if not (left < right and top < bottom):
        raise WrongShape(f"box {box} lies outside the {source[0]}x{source[1]} picture")
    return Placement(
        source_width=whole.source_width,
        source_height=whole.source_height,
        width=whole.width,
        height=whole.height,
        box=(left, top, right, bottom),
        left=0,
        top=0,
        inner_width=whole.width,
        inner_height=whole.height,
    )


def points_to_source(placement: Placement, points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return target points (..., 2) as source points (..., 2), not clipped.

    Args:
        placement: How the source was laid on the target.
        points: (..., 2) x and y in target pixels.
    """
    scale, corner, origin = _frame(placement)
    source: NDArray[np.float64] = (points - corner) / scale + origin
    return source


def points_to_target(placement: Placement, points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return source points (..., 2) as target points (..., 2), not clipped.

    Args:
        placement: How the source was laid on the target.
        points: (..., 2) x and y in source pixels.
    """
    scale, corner, origin = _frame(placement)
    target: NDArray[np.float64] = (points - origin) * scale + corner
    return target


def boxes_to_source(placement: Placement, boxes: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return target boxes (n, 4) as source boxes (n, 4), clipped to the picture.

    Args:
        placement: How the source was laid on the target.
        boxes: (n, 4) left, top, right, bottom in target pixels.
    """
    corners = points_to_source(placement, boxes.reshape(-1, 2, 2))
    limits = np.array([placement.source_width, placement.source_height], np.float64)
    return np.clip(corners, 0.0, limits).reshape(-1, 4)


def _decoded_scale(decoded: int, source: int) -> float:
    """Return decoded pixels to one source pixel.

    Scaled JPEG decoding works in eighths and rounds sizes up: 641 columns at 4/8
    become 321, of which only 320.5 hold picture. Taking 321/641 for the scale
    would shift what is drawn by up to a pixel, which is 3 levels on a photograph.
    """
    eighths = 8 * decoded // source
    if 0 < eighths < 8 and -(-source * eighths // 8) == decoded:
        return eighths / 8
    return decoded / source


def _frame(placement: Placement) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return scale, first target pixel and first source pixel, each (2,) float64."""
    scale = np.array([placement.scale_x, placement.scale_y], np.float64)
    corner = np.array([placement.left, placement.top], np.float64)
    return scale, corner, np.array(placement.box[:2], np.float64)
