"""CBOR payloads: readings, or a tensor where an array says so."""

from __future__ import annotations

import cbor2
import numpy as np
import pytest

from gateway.errors import NotFinite, RequestRefused, TooLarge, WrongDtype, WrongShape
from gateway.frames.cbor_values import decode_cbor
from gateway.frames.declaration import Declaration
from gateway.frames.limits import PayloadLimits
from gateway.frames.tree import Tree
from gateway.frames.values import Numbers, Tensors

LIMITS = PayloadLimits()
FLOATS = cbor2.CBORTag(85, np.arange(6, dtype="<f4").tobytes())
PICTURE = cbor2.CBORTag(40, [[2, 2, 3], cbor2.CBORTag(64, bytes(range(12)))])


def decoded(tree: Tree, **declared: object) -> Numbers | Tensors:
    return decode_cbor(memoryview(cbor2.dumps(tree)), Declaration().overridden(declared), LIMITS)


def test_a_map_of_numbers_and_typed_arrays_is_readings() -> None:
    got = decoded({"x": FLOATS, "y": [5, 4, 3, 2, 1, 0]}, fields=("y", "x"))
    assert isinstance(got, Numbers)
    assert got.values.tolist() == [[5, 0], [4, 1], [3, 2], [2, 3], [1, 4], [0, 5]]


def test_a_plain_typed_array_is_one_channel_or_folded_as_declared() -> None:
    plain, folded = decoded(FLOATS), decoded(FLOATS, shape=(-1, 3))
    assert isinstance(plain, Numbers)
    assert isinstance(folded, Numbers)
    assert plain.values.shape == (6, 1)
    assert folded.values.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_an_array_of_three_axes_is_a_tensor() -> None:
    got = decoded(PICTURE, name="image", layout="HWC")
    assert isinstance(got, Tensors)
    assert got.arrays["image"].tolist() == np.arange(12).reshape(2, 2, 3).tolist()
    assert got.arrays["image"].dtype == np.uint8


def test_an_array_of_declared_type_is_a_tensor() -> None:
    got = decoded(FLOATS, dtype="FP32", shape=(2, 3))
    assert isinstance(got, Tensors)
    assert got.arrays[""].shape == (2, 3)


@pytest.mark.parametrize(
    ("tree", "declared", "error"),
    [
        (FLOATS, {"dtype": "uint8"}, WrongDtype),
        (FLOATS, {"dtype": "float32", "shape": (7,)}, WrongShape),
        (PICTURE, {"shape": (3, 2, 2)}, WrongShape),
        (cbor2.CBORTag(85, np.array([np.nan], "<f4").tobytes()), {"dtype": "float32"}, NotFinite),
        ({"a": float("inf")}, {}, NotFinite),
        ([2**200], {}, NotFinite),
    ],
)
def test_what_does_not_fit_is_refused_by_its_reason(
    tree: Tree, declared: dict[str, object], error: type[RequestRefused]
) -> None:
    with pytest.raises(error):
        decoded(tree, **declared)


def test_the_element_limit_holds_for_tensors() -> None:
    with pytest.raises(TooLarge):
        decode_cbor(memoryview(cbor2.dumps(PICTURE)), Declaration(), PayloadLimits(max_elements=11))
