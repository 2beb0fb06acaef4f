"""Resizes pixels with Pillow, antialiased: a smaller picture is the average of what it covers.

Shrinking without antialiasing skips source pixels and is 6 to 9 levels off on
photographs, which costs a classifier accuracy; so it is not offered.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gateway.errors import WrongShape
from gateway.frames.geometry import Box, Placement

if TYPE_CHECKING:
    from PIL import Image as PillowImage

MAX_SIDE = 16_384


class Method(str, enum.Enum):
    """Filters; all but NEAREST widen their support when they shrink."""

    NEAREST = "nearest"
    BOX = "box"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    LANCZOS = "lanczos"


def resize(
    pixels: NDArray[np.uint8],
    width: int,
    height: int,
    box: Box | None = None,
    method: Method = Method.BILINEAR,
) -> NDArray[np.uint8]:
    """Return a new (height, width, C) uint8 array drawn from ``pixels``.

    Args:
        pixels: (H, W, 3) or (H, W, 1) uint8; only read.
        width: Target width in pixels.
        height: Target height in pixels.
        box: Part of ``pixels`` to draw (left, top, right, bottom), fractions
            allowed; the whole when None.
        method: The filter.

    Returns:
        Pixels that may be read-only and may be ``pixels`` itself when nothing changes.

    Raises:
        WrongShape: The pixels are no picture, a size is out of range, or the
            box leaves the picture.
    """
    rows, columns = _check(pixels, width, height)
    if box is None or box == (0, 0, columns, rows):
        if (columns, rows) == (width, height):
            return pixels
        box = None
    elif not (0 <= box[0] < box[2] <= columns and 0 <= box[1] < box[3] <= rows):
        raise WrongShape(f"box {box} leaves the {columns}x{rows} picture")
    from PIL import Image as PillowImage

    drawn = _pillow(pixels).resize((width, height), PillowImage.Resampling[method.name], box)
    return np.asarray(drawn).reshape(height, width, pixels.shape[2])


def draw(
    pixels: NDArray[np.uint8],
    placement: Placement,
    fill: int = 0,
    method: Method = Method.BILINEAR,
) -> NDArray[np.uint8]:
    """Return the target of a placement, (height, width, C) uint8, with bars of ``fill``.

    Args:
        pixels: (H, W, C) uint8: the placement's source, perhaps decoded smaller.
        placement: How the source is laid on the target.
        fill: Level of the bars, 0 to 255.
        method: The filter.

    Raises:
        WrongShape: As ``resize``.
    """
    _check(pixels, placement.width, placement.height)
    box = placement.box_on(pixels.shape[1], pixels.shape[0])
    inner = resize(pixels, placement.inner_width, placement.inner_height, box, method)
    if (placement.inner_width, placement.inner_height) == (placement.width, placement.height):
        return inner
    target = np.full((placement.height, placement.width, pixels.shape[2]), fill, np.uint8)
    rows = slice(placement.top, placement.top + placement.inner_height)
    target[rows, placement.left : placement.left + placement.inner_width] = inner
    return target


def _check(pixels: NDArray[np.uint8], width: int, height: int) -> tuple[int, int]:
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or pixels.dtype != np.uint8 or pixels.size == 0:
        raise WrongShape(f"a picture is (H, W, 3) or (H, W, 1) uint8, not {pixels.shape} {pixels.dtype}")
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise WrongShape(f"cannot resize to {width}x{height}; sides are 1 to {MAX_SIDE}")
    return pixels.shape[0], pixels.shape[1]


def _pillow(pixels: NDArray[np.uint8]) -> PillowImage.Image:
    from PIL import Image as PillowImage

    if pixels.shape[2] == 1:
        return PillowImage.fromarray(pixels[:, :, 0])
    return PillowImage.fromarray(pixels)
