"""From files to tensors: whatever the file holds, a tensor of the input's type and sizes, or a refusal."""

from __future__ import annotations

import io
import json
import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.cli.remote.inputs import chosen, tensor_for
from gateway.errors import RequestRefused, WrongDtype, WrongShape
from gateway.serving.datatypes import DATATYPES, check_bytes
from gateway.serving.model_view import TensorView

VIEWS = st.builds(
    TensorView,
    st.just("x"),
    st.sampled_from(sorted(DATATYPES)),
    st.lists(st.integers(-1, 3).filter(bool), max_size=4).map(tuple),
)


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


FILES = st.binary(max_size=40) | st.recursive(
    st.integers() | st.floats() | st.text(max_size=2) | st.none(), lambda inner: st.lists(inner, max_size=3)
).map(lambda value: json.dumps(value).encode())


@given(VIEWS, FILES)
@example(TensorView("x", "UINT8", (2,)), b"[1, 300]")
@example(TensorView("x", "INT64", (1,)), b"[1e300]")
@example(TensorView("x", "UINT64", (1,)), b"[18446744073709551616]")
@example(TensorView("x", "UINT8", (1, 2, 2, 3)), b"\xff\xd8\xff\xe0")
@example(TensorView("x", "FP32", (1,)), b"\x93NUMPY\x01\x00")
def test_any_file_is_a_tensor_that_fits_or_is_refused(view: TensorView, data: bytes) -> None:
    try:
        tensor = tensor_for(view, data, "none")
    except RequestRefused:
        return
    assert tensor.datatype == view.datatype
    assert len(tensor.shape) == len(view.shape)
    assert all(wanted in (-1, size) for wanted, size in zip(view.shape, tensor.shape, strict=True))
    check_bytes(DATATYPES[tensor.datatype], tensor.shape, tensor.data, "x")


@pytest.mark.parametrize(
    ("shape", "given_shape", "sent"),
    [
        ((-1, 4), (4,), (1, 4)),
        ((-1, 4), (2, 4), (2, 4)),
        ((4,), (1, 4), (4,)),
        ((1, 2, 2), (2, 2), (1, 2, 2)),
        ((), (1,), ()),
        ((-1, 1), (3,), (3, 1)),
        ((-1, 1), (1, 1), (1, 1)),
    ],
)
def test_axes_of_one_are_added_and_left_out(
    shape: tuple[int, ...], given_shape: tuple[int, ...], sent: tuple[int, ...]
) -> None:
    data = npy(np.zeros(given_shape, np.float32))
    assert tensor_for(TensorView("x", "FP32", shape), data, "none").shape == sent


@pytest.mark.parametrize(("shape", "given_shape"), [((-1, 4), (5,)), ((4,), (2, 4)), ((2, 4), (4,))])
def test_other_sizes_are_refused_by_the_name_of_the_input(
    shape: tuple[int, ...], given_shape: tuple[int, ...]
) -> None:
    with pytest.raises(WrongShape, match="x: the file holds"):
        tensor_for(TensorView("x", "FP32", shape), npy(np.zeros(given_shape, np.float32)), "none")


def test_numbers_are_never_wrapped_or_cut() -> None:
    for said in (b"[256]", b"[-1]", b"[0.5]"):
        with pytest.raises(WrongDtype):
            tensor_for(TensorView("x", "UINT8", (1,)), said, "none")
    assert tensor_for(TensorView("x", "UINT8", (1,)), b"[255.0]", "none").data == b"\xff"


@given(st.integers(1, 6), st.integers(1, 3))
def test_raw_bytes_fill_the_axis_that_is_free(rows: int, columns: int) -> None:
    values = np.arange(rows * columns, dtype="<i4")
    tensor = tensor_for(TensorView("x", "INT32", (1, -1, columns)), values.tobytes() or b"", "none")
    assert tensor.shape == (1, rows, columns)
    assert math.prod(tensor.shape) == values.size


def test_files_go_to_the_inputs_that_they_name_and_the_others_in_order() -> None:
    views = [TensorView(name, "FP32", (1,)) for name in ("a", "b", "c")]
    assert chosen(["b=2", "1", "x=3"], views) == {"a": "1", "b": "2", "c": "x=3"}
    optional = [*views[:1], TensorView("state", "FP32", (1,), optional=True)]
    assert chosen(["1"], optional) == {"a": "1"}
