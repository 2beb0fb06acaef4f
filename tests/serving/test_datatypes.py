"""The table of datatypes agrees with NumPy, and bytes are held to what their shape says."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError, Malformed, TooLarge, WrongDtype, WrongShape
from gateway.inference.texts import join_bytes, split_bytes
from gateway.serving.datatypes import DATATYPES, MOST_TEXTS, Kind, check_bytes, datatype_named, element_count
from gateway.tensor import DTYPES, dtype_named, protocol_name


def test_every_type_of_a_tensor_is_in_the_table() -> None:
    for dtype in DTYPES:
        assert np.dtype(datatype_named(protocol_name(dtype), "x").dtype) == dtype_named(dtype)


@pytest.mark.parametrize(
    "datatype", [each for each in DATATYPES.values() if each.dtype], ids=lambda each: each.name
)
def test_sizes_and_ranges_are_numpys(datatype: object) -> None:
    assert datatype in DATATYPES.values()
    each = next(one for one in DATATYPES.values() if one == datatype)
    dtype = np.dtype(each.dtype)
    assert each.size == dtype.itemsize
    if each.kind is Kind.INTEGER:
        assert (each.low, each.high) == (np.iinfo(dtype).min, np.iinfo(dtype).max)
    if each.kind is Kind.FLOAT:
        assert each.high == float(np.finfo(dtype).max) == -each.low


def test_unknown_names_are_refused() -> None:
    with pytest.raises(WrongDtype, match="fp32"):
        datatype_named("fp32", "input x")


@pytest.mark.parametrize(
    ("shape", "error"),
    [
        ([-1], WrongShape),
        ([1] * 33, WrongShape),
        ([2**31], WrongShape),
        ([2**16, 2**16], WrongShape),
        ([0, 2**40], WrongShape),
    ],
)
def test_shapes_are_bounded(shape: list[int], error: type[GatewayError]) -> None:
    with pytest.raises(error):
        element_count(shape, "x")


def test_no_shape_is_one_element_and_an_empty_axis_is_none() -> None:
    assert (element_count([], "x"), element_count([3, 0, 2], "x"), element_count([3, 2], "x")) == (1, 0, 6)


@given(st.lists(st.binary(max_size=20), max_size=6))
def test_elements_of_bytes_are_joined_and_split(elements: list[bytes]) -> None:
    data = join_bytes(elements)
    assert [bytes(each) for each in split_bytes(data, "x")] == elements
    check_bytes(DATATYPES["BYTES"], [len(elements)], data, "x")
    with pytest.raises(Malformed):
        check_bytes(DATATYPES["BYTES"], [len(elements) + 1], data, "x")
    if elements:
        with pytest.raises(Malformed):
            check_bytes(DATATYPES["BYTES"], [len(elements) - 1], data, "x")


@given(st.binary(max_size=40), st.sampled_from(sorted(DATATYPES)), st.lists(st.integers(-1, 4), max_size=3))
def test_any_bytes_fit_or_are_refused(data: bytes, name: str, shape: list[int]) -> None:
    with contextlib.suppress(GatewayError):
        check_bytes(DATATYPES[name], shape, data, "x")
        if DATATYPES[name].size:
            assert len(data) == np.prod(shape, dtype=int) * DATATYPES[name].size


def test_more_texts_than_the_loop_can_walk_over_are_refused() -> None:
    with pytest.raises(TooLarge):
        check_bytes(DATATYPES["BYTES"], [MOST_TEXTS + 1], bytes(4 * (MOST_TEXTS + 1)), "x")
