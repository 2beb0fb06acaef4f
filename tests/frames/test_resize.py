"""Resizing against references written out in NumPy: a box average and a triangle filter in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gateway.errors import WrongShape
from gateway.frames.geometry import Box, Fit, place
from gateway.frames.resize import Method, draw, resize
from tests.frames.samples import PHOTOGRAPHS, photograph

# Two roundings to whole levels, one a pass.
TOLERANCE = 1.01


def triangle_weights(size: int, start: float, end: float, target: int) -> NDArray[np.float64]:
    """Return (target, size): how much each source pixel counts for each target pixel."""
    step = (end - start) / target
    support = max(step, 1.0)
    centres = start + (np.arange(target) + 0.5) * step
    distances = np.abs(np.arange(size) + 0.5 - centres[:, np.newaxis]) / support
    weights = np.maximum(0.0, 1.0 - distances)
    total: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return total


def triangle_resize(pixels: NDArray[np.uint8], width: int, height: int, box: Box) -> NDArray[np.float64]:
    across = triangle_weights(pixels.shape[1], box[0], box[2], width)
    down = triangle_weights(pixels.shape[0], box[1], box[3], height)
    result: NDArray[np.float64] = np.einsum("yr,xc,rck->yxk", down, across, pixels, optimize=True)
    return result


@pytest.mark.parametrize("name", PHOTOGRAPHS)
@pytest.mark.parametrize("size", [(224, 224), (97, 61), (700, 300)])
def test_bilinear_is_a_triangle_filter_as_wide_as_what_a_pixel_covers(
    name: str, size: tuple[int, int]
) -> None:
    pixels = photograph(name, 400, 300)
    expected = triangle_resize(pixels, *size, (0, 0, 400, 300))
    assert np.abs(resize(pixels, *size) - expected).max() <= TOLERANCE


@pytest.mark.parametrize("box", [(10.0, 20.0, 310.0, 240.0), (0.5, 7.25, 399.5, 300.0)])
def test_a_box_is_resized_as_if_it_were_the_whole_picture(box: Box) -> None:
    pixels = photograph("chelsea", 400, 300)
    expected = triangle_resize(pixels, 128, 128, box)[2:-2, 2:-2]
    actual = resize(pixels, 128, 128, box)[2:-2, 2:-2]
    # Pillow does not look past the box for its edge pixels; the reference does.
    assert np.abs(actual - expected).max() <= TOLERANCE


@pytest.mark.parametrize("factor", [2, 4, 5])
def test_box_shrinking_by_a_whole_factor_is_the_mean_of_the_block(factor: int) -> None:
    pixels = photograph("coffee", 400, 300)
    blocks = pixels.reshape(300 // factor, factor, 400 // factor, factor, 3)
    actual = resize(pixels, 400 // factor, 300 // factor, method=Method.BOX)
    assert np.abs(actual - blocks.mean(axis=(1, 3))).max() <= TOLERANCE


def test_stripes_finer_than_the_target_become_their_average_instead_of_noise() -> None:
    stripes = np.zeros((256, 256, 1), np.uint8)
    stripes[:, ::2] = 255
    inner = resize(stripes, 50, 50)[:, 1:-1]
    assert inner.min() >= 110
    assert inner.max() <= 145


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(0, 255))
def test_a_plain_picture_stays_plain_whatever_its_size(
    width: int, height: int, across: int, down: int, level: int
) -> None:
    pixels = np.full((height, width, 3), level, np.uint8)
    assert (resize(pixels, across, down) == level).all()


def test_grey_pixels_stay_one_channel() -> None:
    pixels = photograph("coffee", 60, 40)[:, :, :1]
    assert resize(pixels, 30, 20).shape == (20, 30, 1)


def test_pixels_that_already_fit_are_not_copied() -> None:
    pixels = photograph("coffee", 60, 40)
    assert resize(pixels, 60, 40) is pixels


def test_pixels_seen_through_a_crop_are_resized_like_a_copy_of_it() -> None:
    pixels = photograph("coffee", 60, 40)
    crop = pixels[5:35, 10:50]
    np.testing.assert_array_equal(resize(crop, 20, 15), resize(crop.copy(), 20, 15))


def test_a_letterboxed_picture_lies_between_bars_of_the_fill_level() -> None:
    pixels = np.full((48, 64, 3), 200, np.uint8)
    target = draw(pixels, place((640, 480), (32, 32), Fit.LETTERBOX), fill=114)
    assert (target[:4] == 114).all()
    assert (target[4:28] == 200).all()
    assert (target[28:] == 114).all()


def test_a_stretched_picture_is_drawn_without_bars() -> None:
    pixels = photograph("astronaut", 80, 60)
    np.testing.assert_array_equal(
        resize(pixels, 32, 32), draw(pixels, place((80, 60), (32, 32), Fit.STRETCH))
    )


@pytest.mark.parametrize(
    ("width", "height", "box"),
    [
        (0, 10, None),
        (10, 20_000, None),
        (10, 10, (0.0, 0.0, 61.0, 40.0)),
        (10, 10, (5.0, 5.0, 5.0, 9.0)),
        (10, 10, (float("nan"), 0.0, 10.0, 10.0)),
    ],
)
def test_sizes_and_boxes_that_cannot_be_are_refused(width: int, height: int, box: Box | None) -> None:
    with pytest.raises(WrongShape):
        resize(photograph("coffee", 60, 40), width, height, box)


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (0, 4, 3)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(WrongShape):
        resize(np.zeros(shape, np.uint8), 2, 2)
