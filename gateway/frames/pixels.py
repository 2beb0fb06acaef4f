"""The last stage for pictures: pixels in the model's layout and element type, as one row.

The way costs no copy when the model takes the very bytes: otherwise one pass
that orders the channels (if it must) and one that maps the codes (if it must).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gateway.errors import WrongShape
from gateway.frames.affine import Fused, code_map, fuse
from gateway.frames.model_picture import ModelPicture, picture_of
from gateway.frames.specs import ImageSpec
from gateway.frames.steps import Site
from gateway.frames.values import Image
from gateway.tensor import Array, TensorSpec

Arrange = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]

# ITU-R 601: the luma of JPEG, and of Pillow's conversion to grey.
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def picture_rows(spec: ImageSpec, site: Site) -> Callable[[Image], list[dict[str, Array]]]:
    """Return what makes one row of a picture.

    The row's array is (1, ...) in the model's layout and type, C-contiguous; it
    may share memory with the picture.

    Raises:
        PipelineMisfit: The pictures do not fit the model's input.
    """
    target, picture = site.target(), picture_of(site)
    _check(spec, target, picture, site)
    fused = fuse(spec.affine, target)
    _check_range(fused, target, site)
    convert = code_map(fused, channel_axis=0 if picture.layout == "NCHW" else 2)
    arrange = _arrangement(spec, picture)
    shape = (spec.height, spec.width)
    name, flat = target.name, picture.layout == "NHW"

    def rows(image: Image) -> list[dict[str, Array]]:
        pixels = image.pixels
        if pixels.shape[:2] != shape:
            raise WrongShape(
                f"the picture is {pixels.shape[1]}x{pixels.shape[0]}, the model takes {shape[1]}x{shape[0]}"
            )
        planes: Array = np.ascontiguousarray(arrange(pixels))
        if convert is not None:
            planes = convert(planes)
        return [{name: planes[np.newaxis, :, :, 0] if flat else planes[np.newaxis]}]

    return rows


def _check(spec: ImageSpec, target: TensorSpec, picture: ModelPicture, site: Site) -> None:
    if spec.width is None or spec.height is None:
        raise site.misfit(f"pictures come in any size, the model takes {target}; add the step resize")
    if picture.width not in {spec.width, None} or picture.height not in {spec.height, None}:
        raise site.misfit(
            f"gives pictures {spec.width} wide and {spec.height} high, "
            f"the model takes {picture.width} by {picture.height} ({target})"
        )
    if picture.channels not in {spec.channels, None}:
        order = "grey" if picture.channels == 1 else "rgb"
        raise site.misfit(
            f"gives {spec.channels} channels, the model takes {picture.channels} ({target}); "
            f"add the step colour: {{order: {order}}}"
        )


def _check_range(fused: Fused, target: TensorSpec, site: Site) -> None:
    """Refuse maps that lose the picture: most levels beyond the input's range, or on very few codes."""
    quantization = target.quantization
    if quantization is None or np.issubdtype(fused.dtype, np.floating):
        return
    limits = np.iinfo(target.dtype)
    low = (limits.min - quantization.zero_point) * quantization.scale
    high = (limits.max - quantization.zero_point) * quantization.scale
    for table in fused.tables():
        if len(np.unique(table)) < 32:
            raise site.misfit(
                f"the 256 levels become only {len(np.unique(table))} codes of {target}, which holds "
                f"{low:.4g} to {high:.4g}; add the step normalise with what the model was trained on"
            )


def _arrangement(spec: ImageSpec, picture: ModelPicture) -> Arrange:
    """Return what orders the channels of (H, W, 3 or 1) pixels as the model wants them."""
    if spec.order == "grey":
        return _grey_first if picture.layout == "NCHW" else _grey_last
    order = (2, 1, 0) if spec.order == "bgr" else (0, 1, 2)
    if picture.layout == "NCHW":
        return lambda pixels: _planes(pixels, order)
    if spec.order == "rgb":
        return _three
    return lambda pixels: _reordered(pixels, order)


def _three(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return pixels if pixels.shape[2] == 3 else np.repeat(pixels, 3, axis=2)


def _planes(pixels: NDArray[np.uint8], order: tuple[int, ...]) -> NDArray[np.uint8]:
    out = np.empty((3, *pixels.shape[:2]), np.uint8)
    for to, source in enumerate(order):
        out[to] = pixels[:, :, source if pixels.shape[2] == 3 else 0]
    return out


def _reordered(pixels: NDArray[np.uint8], order: tuple[int, ...]) -> NDArray[np.uint8]:
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    # Plane by plane is five times faster than one copy with a negative stride.
    out = np.empty_like(pixels, order="C")
    for to, source in enumerate(order):
        out[:, :, to] = pixels[:, :, source]
    return out


def _grey_last(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if pixels.shape[2] == 1:
        return pixels
    return (pixels @ _LUMA + np.float32(0.5)).astype(np.uint8)[:, :, np.newaxis]


def _grey_first(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return _grey_last(pixels)[np.newaxis, :, :, 0]
