"""The way back from the model's picture to the source, through any chain of steps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.frames.geometry import Fit, place, points_to_source
from gateway.frames.prepared import StreamState
from gateway.frames.sight import SIGHT, Sight
from gateway.frames.values import Image
from tests.frames.made import compiled, facts, spec

sizes = st.tuples(st.integers(8, 300), st.integers(8, 300))
fits = st.sampled_from(["stretch", "crop", "letterbox"])


@given(sizes, sizes, st.sampled_from(list(Fit)), st.floats(0.3, 1))
def test_through_one_placement_it_is_that_placements_own_way_back(
    source: tuple[int, int], target: tuple[int, int], fit: Fit, fraction: float
) -> None:
    placement = place(source, target, fit, fraction)
    points = np.array([[0.0, 0.0], [target[0], target[1]], [3.5, 1.25]])
    sight = Sight(*source).through(placement)
    np.testing.assert_allclose(points_to_source(placement, points), sight.points(points), atol=1e-6)


def sight_of_run(source: Image, fit: str, box: list[float], size: tuple[int, int]) -> Sight:
    target = spec("x", "uint8", (1, size[1], size[0], 3))
    steps = [("crop", {"box": box}), ("resize", {"fit": fit})]
    pipeline = compiled(facts([target], [spec("out", "float32", (1, 4))], axes="NHWC"), steps)
    prepared = pipeline.prepare_value(source, StreamState())
    sight = prepared.notes[SIGHT]
    assert isinstance(sight, Sight)
    return sight


@given(
    sizes,
    sizes,
    fits,
    st.tuples(st.floats(0, 0.6), st.floats(0, 0.6), st.floats(0.2, 0.4), st.floats(0.2, 0.4)),
    st.integers(1, 4),
)
def test_a_crop_shows_exactly_its_own_part_whatever_was_decoded(
    decoded: tuple[int, int], target: tuple[int, int], fit: str, part: tuple[float, ...], smaller: int
) -> None:
    box = [part[0], part[1], part[0] + part[2], part[1] + part[3]]
    source = Image(
        np.zeros((decoded[1], decoded[0], 3), np.uint8), decoded[0] * smaller, decoded[1] * smaller
    )
    sight = sight_of_run(source, fit, box, target)
    ends = sight.points(np.array([[0.0, 0.0], [target[0], target[1]]]))
    size = np.array((source.source_width, source.source_height), np.float64)
    wanted = np.array(box).reshape(2, 2) * size
    slack = smaller + 1e-6  # a crop is cut at decoded pixels, outwards
    if fit == "stretch":
        assert (np.abs(ends - wanted) <= slack).all()
    elif fit == "crop":  # no more than the part is shown
        assert (ends[0] >= wanted[0] - slack).all()
        assert (ends[1] <= wanted[1] + slack).all()
    else:  # at least the part is shown; the thinner bar may be rounded away
        coarse = np.abs(ends[1] - ends[0]) / np.array(target)
        assert (ends[0] <= wanted[0] + slack + coarse).all()
        assert (ends[1] >= wanted[1] - slack - coarse).all()


@given(sizes, sizes, fits, st.tuples(*(st.floats(0, 1) for _ in range(4))))
def test_boxes_come_back_inside_the_source(
    source: tuple[int, int], target: tuple[int, int], fit: str, corners: tuple[float, ...]
) -> None:
    image = Image(np.zeros((source[1], source[0], 3), np.uint8), *source)
    sight = sight_of_run(image, fit, [0.25, 0.25, 1, 1], target)
    box = np.array([corners]) * np.tile(np.array(target, np.float64), 2) * 1.5 - 10
    left, top, right, bottom = sight.boxes(box)[0].tolist()
    assert 0 <= left <= source[0]
    assert 0 <= right <= source[0]
    assert 0 <= top <= source[1]
    assert 0 <= bottom <= source[1]


def marked(width: int, height: int, box: tuple[int, int, int, int]) -> Image:
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[box[1] : box[3], box[0] : box[2]] = 255
    return Image(pixels, width, height)


@pytest.mark.parametrize("fit", ["stretch", "crop", "letterbox"])
def test_a_bright_square_found_in_the_models_picture_is_where_it_was(fit: str) -> None:
    truth = (80, 60, 120, 90)
    image = marked(200, 120, truth)
    target = spec("x", "uint8", (1, 100, 160, 3))
    steps = [("crop", {"box": [0.2, 0.25, 0.8, 1]}), ("resize", {"fit": fit})]
    pipeline = compiled(facts([target], [spec("out", "float32", (1, 4))]), steps)
    prepared = pipeline.prepare_value(image, StreamState())
    bright = prepared.rows[0]["x"][0, :, :, 0] > 127
    rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
    sight = prepared.notes[SIGHT]
    assert isinstance(sight, Sight)
    found = sight.boxes(np.array([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]], np.float64))
    np.testing.assert_allclose(found[0], truth, atol=1.5)
