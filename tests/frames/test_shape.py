"""Declared shapes: the open axis is filled, and nothing else fits."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import TooLarge, WrongShape
from gateway.frames.limits import PayloadLimits
from gateway.frames.shape import check_elements, resolve_shape

shapes = st.lists(st.integers(1, 9), min_size=1, max_size=6).map(tuple)


@given(shapes, st.data())
def test_an_open_axis_is_filled_with_what_was_there(shape: tuple[int, ...], data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    opened = (*shape[:axis], -1, *shape[axis + 1 :])
    assert shape == resolve_shape(opened, math.prod(shape))


@given(shapes, st.integers(0, 5000))
def test_a_closed_shape_takes_exactly_its_elements(shape: tuple[int, ...], elements: int) -> None:
    if elements == math.prod(shape):
        assert resolve_shape(shape, elements) == shape
    else:
        with pytest.raises(WrongShape):
            resolve_shape(shape, elements)


@pytest.mark.parametrize("shape", [(-1, -1), (0,), (-2, 3), (1,) * 9, (2**62, 2**62), (5, -1)])
def test_shapes_that_cannot_be_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(WrongShape):
        resolve_shape(shape, 12)


def test_elements_are_counted_before_anything_is_made() -> None:
    limits = PayloadLimits(max_elements=10)
    check_elements("tensor", 10, limits)
    with pytest.raises(TooLarge):
        check_elements("tensor", 11, limits)
    with pytest.raises(WrongShape):
        check_elements("tensor", 0, limits)
