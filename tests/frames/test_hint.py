"""Decode hints: enough pixels for the model, never more than there are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.frames.geometry import Fit
from gateway.frames.hint import DecodeHint

sizes = st.integers(1, 4000)


@given(sizes, sizes, sizes, sizes, st.sampled_from(list(Fit)), st.floats(0.1, 1.0))
def test_a_picture_decoded_to_the_needed_size_is_not_enlarged_afterwards(
    width: int, height: int, across: int, down: int, fit: Fit, fraction: float
) -> None:
    hint = DecodeHint(across, down, fit, fraction)
    needed = hint.needed_size(width, height)
    laid = hint.placement(width, height)
    left, top, right, bottom = laid.box_on(*needed)
    assert needed[0] == width or right - left >= laid.inner_width - 1e-6
    assert needed[1] == height or bottom - top >= laid.inner_height - 1e-6
    assert needed[0] <= width
    assert needed[1] <= height


@pytest.mark.parametrize(
    ("fit", "fraction", "expected"),
    [
        (Fit.STRETCH, 1.0, (224, 224)),
        (Fit.LETTERBOX, 1.0, (224, 168)),
        (Fit.COVER, 1.0, (299, 224)),
        (Fit.COVER, 0.875, (342, 256)),
    ],
)
def test_what_is_needed_of_a_640x480_picture(fit: Fit, fraction: float, expected: tuple[int, int]) -> None:
    assert expected == DecodeHint(224, 224, fit, fraction).needed_size(640, 480)
