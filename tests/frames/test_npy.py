"""The .npy reader against NumPy's own writer, and against files that want to do harm."""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gateway.errors import (
    Malformed,
    NotFinite,
    RequestRefused,
    TooLarge,
    UnknownMedia,
    WrongDtype,
    WrongShape,
)
from gateway.frames.declaration import Declaration
from gateway.frames.limits import PayloadLimits
from gateway.frames.npy import decode_npy
from gateway.tensor import DTYPES, Array
from tests.frames.samples import damaged

LIMITS = PayloadLimits()
PLAIN = Declaration()


def saved(array: Array, version: tuple[int, int] | None = None) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version)
    return buffer.getvalue()


def headed(header: str, body: bytes = b"") -> memoryview:
    text = header.encode("latin-1")
    return memoryview(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body)


def decoded(data: bytes | memoryview, declared: Declaration = PLAIN) -> Array:
    return decode_npy(memoryview(data), declared, LIMITS).arrays[declared.name]


numbers = st.sampled_from(DTYPES).flatmap(
    lambda name: hnp.arrays(
        np.dtype(name),
        hnp.array_shapes(max_dims=5, max_side=4),
        elements=hnp.from_dtype(np.dtype(name), allow_nan=False, allow_infinity=False),
    )
)


@given(numbers, st.booleans(), st.booleans())
def test_what_numpy_saves_is_read_back(array: Array, fortran: bool, swapped: bool) -> None:
    sent = np.asfortranarray(array) if fortran else array
    sent = sent.astype(sent.dtype.newbyteorder(">")) if swapped else sent
    got = decoded(saved(sent))
    np.testing.assert_array_equal(got, array)
    assert got.dtype == array.dtype
    assert got.flags.c_contiguous
    assert not got.flags.writeable


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_all_versions_of_the_format_are_read(version: tuple[int, int]) -> None:
    np.testing.assert_array_equal(decoded(saved(np.arange(5.0), version)), np.arange(5.0))


def test_a_scalar_is_an_array_without_axes() -> None:
    assert decoded(saved(np.array(3.5))).shape == ()


class _Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.path,)


def test_a_pickle_inside_is_never_opened(tmp_path: Path) -> None:
    mark = tmp_path / "opened"
    buffer = io.BytesIO()
    np.save(buffer, np.array([_Trap(mark)], dtype=object), allow_pickle=True)
    assert b"touch" in buffer.getvalue()
    with pytest.raises(WrongDtype):
        decoded(buffer.getvalue())
    with pytest.raises(Malformed):
        decoded(pickle.dumps(_Trap(mark)))
    assert not mark.exists()


@pytest.mark.parametrize(
    "array",
    [np.array(["text"]), np.array([1 + 2j]), np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f4")])],
)
def test_types_that_are_no_plain_numbers_are_refused(array: Array) -> None:
    with pytest.raises(WrongDtype):
        decoded(saved(array))


@pytest.mark.parametrize(
    ("shape", "error"),
    [
        ("(-1,)", WrongShape),
        ("(0,)", WrongShape),
        ("(4, -4)", WrongShape),
        ("(1,1,1,1,1,1,1,1,1)", WrongShape),
        ("(9999999999, 9999999999)", TooLarge),
        ("(4294967296,)", TooLarge),
        ("(5,)", Malformed),
        ("(3,)", Malformed),
        ("(4, a)", Malformed),
        ("(,)", Malformed),
        ("(99999999999999999999999,)", Malformed),
    ],
)
def test_shapes_that_lie_are_refused_before_anything_is_made(shape: str, error: type[RequestRefused]) -> None:
    with pytest.raises(error):
        decoded(headed(f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}", bytes(16)))


@pytest.mark.parametrize(
    "header",
    [
        "",
        "{}",
        "{'descr': '<f4', 'fortran_order': 1, 'shape': (4,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4,)} or __import__('os')",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2**2,)}",
        "{" * 3000,
        "\u00ff" * 100,
    ],
)
def test_headers_that_are_none_are_malformed(header: str) -> None:
    with pytest.raises(Malformed):
        decoded(headed(header, bytes(16)))


@pytest.mark.parametrize("descr", ["<f5", "<f16", "|V8", "<U4", "<M8", "|O8", "<c8"])
def test_element_types_that_are_not_taken_are_named(descr: str) -> None:
    with pytest.raises(WrongDtype):
        decoded(headed(f"{{'descr': '{descr}', 'fortran_order': False, 'shape': (4,), }}", bytes(64)))


def test_a_future_version_is_unknown() -> None:
    with pytest.raises(UnknownMedia):
        decoded(b"\x93NUMPY\x09\x00" + bytes(20))


def test_a_declared_type_and_shape_must_hold() -> None:
    data = saved(np.zeros((2, 3), np.float32))
    assert decoded(data, Declaration(dtype="FP32", shape=(-1, 3), name="in")).shape == (2, 3)
    with pytest.raises(WrongDtype):
        decoded(data, Declaration(dtype="uint8"))
    with pytest.raises(WrongShape):
        decoded(data, Declaration(shape=(3, 2)))


def test_nan_is_refused() -> None:
    with pytest.raises(NotFinite):
        decoded(saved(np.array([1.0, np.nan])))


def test_the_element_limit_holds() -> None:
    with pytest.raises(TooLarge):
        decode_npy(memoryview(saved(np.zeros(11))), PLAIN, PayloadLimits(max_elements=10))


SAMPLES = (
    saved(np.arange(24, dtype=np.int16).reshape(2, 3, 4)),
    saved(np.asfortranarray(np.ones((4, 5), ">f8"))),
    saved(np.ones(7, bool), (2, 0)),
)


@given(st.sampled_from(SAMPLES), st.integers(0, 10**9))
@settings(max_examples=300)
def test_damaged_files_give_a_tensor_or_a_typed_error(sample: bytes, seed: int) -> None:
    data = damaged(sample, seed)
    try:
        array = decoded(data)
    except RequestRefused:
        return
    assert array.nbytes < len(data)


@given(st.text(alphabet="{}'<>|=fiubO48, ():descrfortran_ordershapeTrueFalse-0129L", max_size=120))
@settings(max_examples=300)
def test_any_header_text_gives_a_tensor_or_a_typed_error(header: str) -> None:
    try:
        decoded(headed(header, bytes(16)))
    except RequestRefused:
        return
