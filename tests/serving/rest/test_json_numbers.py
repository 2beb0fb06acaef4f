"""Numbers between JSON and tensors: exact where they fit, refused where they do not, never invalid JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from gateway.errors import GatewayError, Malformed, NotFinite, NotSupported, WrongDtype, WrongShape
from gateway.inference.texts import join_bytes, split_bytes
from gateway.serving.datatypes import DATATYPES, Kind
from gateway.serving.rest.json_numbers import elements_in, elements_out
from gateway.serving.rest.json_writing import write_json

NUMBERS = sorted(name for name, each in DATATYPES.items() if each.dtype)


@st.composite
def tensors(draw: st.DrawFn) -> tuple[str, np.ndarray[Any, Any]]:
    name = draw(st.sampled_from(NUMBERS))
    dtype = np.dtype(DATATYPES[name].dtype)
    elements = npst.from_dtype(dtype, allow_nan=False, allow_infinity=False)
    shape = npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
    return name, draw(npst.arrays(dtype, shape, elements=elements))


@given(tensors(), st.booleans())
def test_every_tensor_survives_the_way_through_json(
    tensor: tuple[str, np.ndarray[Any, Any]], nested: bool
) -> None:
    name, array = tensor
    said, not_finite = elements_out(array.tobytes(), DATATYPES[name], "x")
    assert not not_finite
    flat = json.loads(write_json({"data": said}))["data"]
    data = array.tolist() if nested and array.ndim else flat
    back = elements_in(data, DATATYPES[name], array.shape, "x")
    assert bytes(back) == array.tobytes()


@pytest.mark.parametrize("name", [name for name in NUMBERS if DATATYPES[name].kind is Kind.INTEGER])
def test_integers_reach_to_the_ends_of_their_range_and_no_further(name: str) -> None:
    limits = np.iinfo(DATATYPES[name].dtype)
    ends = [int(limits.min), int(limits.max)]
    assert bytes(elements_in(ends, DATATYPES[name], [2], "x")) == np.array(ends, limits.dtype).tobytes()
    for beyond in (ends[0] - 1, ends[1] + 1, 2**40 if limits.bits < 40 else 2**70):
        with pytest.raises(WrongDtype, match="range"):
            elements_in([beyond], DATATYPES[name], [1], "x")


@pytest.mark.parametrize("name", ["FP16", "FP32", "FP64"])
def test_floats_that_would_become_infinite_are_refused(name: str) -> None:
    greatest = float(np.finfo(DATATYPES[name].dtype).max)
    assert elements_in([greatest, -greatest], DATATYPES[name], [2], "x")
    beyond = greatest * 2 if name != "FP64" else 10**400
    with pytest.raises(NotFinite):
        elements_in([beyond], DATATYPES[name], [1], "x")


WRONG: list[tuple[str, list[object]]] = [
    ("INT32", [1.0, True, "1", None, [1], {}]),
    ("FP32", [True, "1", None, {}]),
    ("BOOL", [0, 1, 1.0, "true", None]),
    ("BYTES", [1, None, True]),
]


@pytest.mark.parametrize(("name", "value"), [(name, each) for name, wrong in WRONG for each in wrong])
def test_elements_of_another_kind_are_refused(name: str, value: object) -> None:
    with pytest.raises(WrongDtype):
        elements_in([value, value], DATATYPES[name], [2], "x")


@pytest.mark.parametrize(
    ("data", "shape"),
    [
        ([[1, 2], [3]], [2, 2]),
        ([[1, 2, 3], [4]], [2, 2]),
        ([[1], [2]], [1, 2]),
        ([[1, 2, 3, 4]], [2, 2]),
        ([[1], 2], [2, 1]),
        ([[[1]]], [1, 1]),
    ],
)
def test_nesting_must_be_the_shapes(data: list[Any], shape: list[int]) -> None:
    with pytest.raises((WrongShape, WrongDtype)):
        elements_in(data, DATATYPES["INT32"], shape, "x")


def test_a_wrong_number_of_elements_is_refused_with_both_numbers() -> None:
    with pytest.raises(Malformed, match=r"3 elements; shape .* takes 4"):
        elements_in([1, 2, 3], DATATYPES["INT32"], [2, 2], "x")


@given(st.lists(st.binary(max_size=9), max_size=5))
@example([b"\xff"])
def test_texts_are_said_and_bytes_that_are_none_are_refused(elements: list[bytes]) -> None:
    data = join_bytes(elements)
    assert [bytes(each) for each in split_bytes(data, "x")] == elements
    try:
        texts = [each.decode() for each in elements]
    except UnicodeDecodeError:
        with pytest.raises(NotSupported, match="binary"):
            elements_out(data, DATATYPES["BYTES"], "x")
        return
    assert elements_out(data, DATATYPES["BYTES"], "x") == (texts, False)
    assert bytes(elements_in(texts, DATATYPES["BYTES"], [len(texts)], "x")) == data


@pytest.mark.parametrize("name", ["FP16", "FP32", "FP64"])
def test_nan_and_infinities_are_null_in_json_and_reported(name: str) -> None:
    array = np.array([1.5, math.nan, math.inf, -math.inf], DATATYPES[name].dtype)
    said, not_finite = elements_out(array.tobytes(), DATATYPES[name], "x")
    assert not_finite
    assert json.loads(write_json(said)) == [1.5, None, None, None]


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=1), inner, max_size=1),
    max_leaves=6,
)


@given(_ANY, st.sampled_from(sorted(DATATYPES)), st.lists(st.integers(-1, 3), max_size=3))
def test_any_value_gives_the_right_number_of_bytes_or_one_typed_error(
    data: object, name: str, shape: list[int]
) -> None:
    try:
        found = elements_in(data, DATATYPES[name], shape, "x")
    except GatewayError:
        return
    if DATATYPES[name].size:
        assert len(found) == math.prod(shape) * DATATYPES[name].size
