"""Geometry: what is drawn lies inside, keeps its form, and finds its way back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import WrongShape
from gateway.frames.geometry import (
    Fit,
    Placement,
    boxes_to_source,
    place,
    place_box,
    points_to_source,
    points_to_target,
)

sizes = st.tuples(st.integers(1, 5000), st.integers(1, 5000))
fits = st.sampled_from(list(Fit))
fractions = st.floats(0.05, 1.0)


@given(sizes, sizes, fits, fractions)
def test_what_is_drawn_lies_inside_the_source_and_the_target(
    source: tuple[int, int], target: tuple[int, int], fit: Fit, fraction: float
) -> None:
    laid = place(source, target, fit, fraction)
    left, top, right, bottom = laid.box
    assert -1e-6 <= left < right <= source[0] + 1e-6
    assert -1e-6 <= top < bottom <= source[1] + 1e-6
    assert laid.left >= 0
    assert laid.top >= 0
    assert laid.left + laid.inner_width <= target[0]
    assert laid.top + laid.inner_height <= target[1]


@given(sizes, sizes, fits, fractions)
def test_a_point_taken_to_the_target_and_back_is_where_it_was(
    source: tuple[int, int], target: tuple[int, int], fit: Fit, fraction: float
) -> None:
    laid = place(source, target, fit, fraction)
    points = np.array([[0.0, 0.0], [source[0] / 3, source[1] / 7], list(source)])
    back = points_to_source(laid, points_to_target(laid, points))
    np.testing.assert_allclose(back, points, rtol=1e-9, atol=1e-6)


@given(sizes, sizes, fractions)
def test_cover_keeps_the_targets_form(
    source: tuple[int, int], target: tuple[int, int], fraction: float
) -> None:
    laid = place(source, target, Fit.COVER, fraction)
    assert laid.scale_x == pytest.approx(laid.scale_y)
    assert (laid.inner_width, laid.inner_height) == target


@given(sizes, sizes)
def test_letterbox_keeps_the_sources_form_to_the_pixel(
    source: tuple[int, int], target: tuple[int, int]
) -> None:
    laid = place(source, target, Fit.LETTERBOX)
    scale = min(target[0] / source[0], target[1] / source[1])
    assert abs(laid.inner_width - source[0] * scale) <= 1
    assert abs(laid.inner_height - source[1] * scale) <= 1
    assert laid.inner_width == target[0] or laid.inner_height == target[1]


def test_a_letterboxed_box_is_mapped_into_the_sources_pixels() -> None:
    laid = place((640, 480), (224, 224), Fit.LETTERBOX)
    assert (laid.left, laid.top, laid.inner_width, laid.inner_height) == (0, 28, 224, 168)
    boxes = boxes_to_source(laid, np.array([[0.0, 28.0, 224.0, 196.0], [56.0, 70.0, 112.0, 112.0]]))
    np.testing.assert_allclose(boxes, [[0, 0, 640, 480], [160, 120, 320, 240]])


def test_a_box_that_reaches_into_the_bars_is_clipped_to_the_picture() -> None:
    laid = place((640, 480), (224, 224), Fit.LETTERBOX)
    np.testing.assert_allclose(
        boxes_to_source(laid, np.array([[-9.0, 0.0, 300.0, 224.0]])), [[0, 0, 640, 480]]
    )


def test_a_central_crop_of_seven_eighths_is_centred() -> None:
    laid = place((640, 480), (224, 224), Fit.COVER, 0.875)
    assert laid.box == (110.0, 30.0, 530.0, 450.0)


def test_the_box_on_a_half_size_decode_is_half_as_large() -> None:
    laid = place((640, 480), (224, 224), Fit.COVER)
    assert laid.box_on(320, 240) == (40.0, 0.0, 280.0, 240.0)


def test_a_detected_box_is_cut_to_the_picture_before_it_is_laid() -> None:
    laid = place_box((100, 50), (32, 32), (-10, 10, 40, 90))
    assert laid == Placement(100, 50, 32, 32, (0.0, 10.0, 40.0, 50.0), 0, 0, 32, 32)


def test_a_box_outside_the_picture_is_refused() -> None:
    with pytest.raises(WrongShape):
        place_box((100, 50), (32, 32), (100, 0, 120, 20))


@pytest.mark.parametrize("fraction", [0.0, -1.0, 1.1, float("nan")])
def test_a_fraction_that_keeps_nothing_or_too_much_is_refused(fraction: float) -> None:
    with pytest.raises(WrongShape):
        place((10, 10), (5, 5), Fit.COVER, fraction)


def test_an_empty_target_is_refused() -> None:
    with pytest.raises(WrongShape):
        place((10, 10), (0, 5), Fit.STRETCH)
