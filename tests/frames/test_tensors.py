"""Raw tensors: views on the payload, checked for size, type and finite floats."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Malformed, NotFinite, RequestRefused, TooLarge, WrongDtype, WrongShape
from gateway.frames.declaration import Declaration
from gateway.frames.limits import PayloadLimits
from gateway.frames.tensors import decode_tensor
from gateway.tensor import DTYPES

LIMITS = PayloadLimits()


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type_comes_through_as_sent(dtype: str) -> None:
    sent = np.array([[0, 1, 0], [1, 1, 0]]).astype(dtype)
    declared = Declaration(dtype=dtype, shape=(-1, 3), name="x", layout="HW")
    tensors = decode_tensor(memoryview(sent.tobytes()), declared, LIMITS)
    np.testing.assert_array_equal(tensors.arrays["x"], sent)
    assert tensors.arrays["x"].dtype == sent.dtype
    assert tensors.layout == "HW"


def test_a_tensor_is_a_read_only_view_on_its_payload() -> None:
    payload = bytearray(range(12))
    array = decode_tensor(memoryview(payload), Declaration(dtype="UINT8"), LIMITS).arrays[""]
    payload[3] = 99
    assert array[3] == 99
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


def test_floats_that_are_not_aligned_in_the_payload_are_read_all_the_same() -> None:
    sent = np.linspace(-1, 1, 7, dtype=np.float32)
    payload = memoryview(b"\0" + sent.tobytes())[1:]
    array = decode_tensor(payload, Declaration(dtype="FP32"), LIMITS).arrays[""]
    np.testing.assert_array_equal(array, sent)


def test_any_byte_of_a_boolean_tensor_is_true_or_false() -> None:
    array = decode_tensor(memoryview(b"\0\1\2\xff"), Declaration(dtype="bool"), LIMITS).arrays[""]
    assert array.view(np.uint8).tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_floats_that_are_not_finite_are_refused(dtype: str, value: float) -> None:
    sent = np.array([0, value, 1], dtype=dtype)
    with pytest.raises(NotFinite):
        decode_tensor(memoryview(sent.tobytes()), Declaration(dtype=dtype), LIMITS)


@pytest.mark.parametrize(
    ("declared", "error"),
    [
        (Declaration(), WrongDtype),
        (Declaration(dtype="complex64"), WrongDtype),
        (Declaration(dtype="object"), WrongDtype),
        (Declaration(dtype="float64"), Malformed),
        (Declaration(dtype="uint8", shape=(5, 2)), WrongShape),
        (Declaration(dtype="uint8", shape=(-1, 5)), WrongShape),
    ],
)
def test_what_does_not_fit_its_declaration_is_refused(
    declared: Declaration, error: type[RequestRefused]
) -> None:
    with pytest.raises(error):
        decode_tensor(memoryview(bytes(12)), declared, LIMITS)


def test_more_elements_than_allowed_are_refused() -> None:
    with pytest.raises(TooLarge):
        decode_tensor(memoryview(bytes(12)), Declaration(dtype="uint8"), PayloadLimits(max_elements=11))


@given(
    st.binary(max_size=64),
    st.sampled_from([*DTYPES, "FP16", "O", ""]),
    st.lists(st.integers(-2, 9), max_size=9).map(tuple),
)
def test_any_bytes_and_declaration_give_a_tensor_or_a_typed_error(
    payload: bytes, dtype: str, shape: tuple[int, ...]
) -> None:
    try:
        tensors = decode_tensor(memoryview(payload), Declaration(dtype=dtype, shape=shape), LIMITS)
    except RequestRefused:
        return
    assert tensors.arrays[""].nbytes == len(payload)
