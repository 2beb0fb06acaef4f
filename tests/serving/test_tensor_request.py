"""What is let into a batch: what fits the model, and nothing else, with words that say what would."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Malformed, NotSupported, RequestRefused, WrongDtype, WrongShape
from gateway.inference.model_shape import ModelShape
from gateway.inference.tensor_call import TENSORS, TensorLayout
from gateway.serving.call import InferCall, InputTensor, Sequence, WantedOutput
from gateway.serving.tensor_request import Plans, tensor_request
from gateway.tensor import TensorSpec

SHAPE = ModelShape(
    (
        TensorSpec("x", "float32", (None, 3)),
        TensorSpec("mask", "uint8", (None, 2)),
        TensorSpec("h", "int64", (None, 1)),
    ),
    (TensorSpec("y", "float32", (None, 4)), TensorSpec("z", "float32", (None, 1))),
    frozenset({"h"}),
    True,
)


def tensor(name: str, datatype: str, shape: tuple[int, ...], data: bytes) -> InputTensor:
    return InputTensor(name, datatype, shape, data)


def good(rows: int = 2) -> tuple[InputTensor, InputTensor]:
    return tensor("x", "FP32", (rows, 3), bytes(12 * rows)), tensor(
        "mask", "UINT8", (rows, 2), bytes(2 * rows)
    )


def call(*inputs: InputTensor, **more: Any) -> InferCall:
    return InferCall("m", inputs, 2.0, 1.0, **more)


def test_a_request_holds_every_tensor_where_its_layout_says() -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    mask = np.arange(4, dtype=np.uint8).reshape(2, 2)
    request = tensor_request(
        call(tensor("mask", "UINT8", (2, 2), mask.tobytes()), tensor("x", "FP32", (2, 3), x.tobytes())),
        "m",
        SHAPE,
        8,
    )
    assert (request.pipeline, request.rows, request.ordered) == (TENSORS, 2, False)
    rows = TensorLayout.from_json(request.declared).prepare(memoryview(request.payload)).rows
    assert [row["x"].tolist() for row in rows] == [[[0, 1, 2]], [[3, 4, 5]]]
    assert [row["mask"].tolist() for row in rows] == [[[0, 1]], [[2, 3]]]


def test_one_tensor_alone_is_not_copied() -> None:
    data = bytes(12)
    shape = ModelShape((TensorSpec("x", "float32", (None, 3)),), (), frozenset(), True)
    assert tensor_request(call(tensor("x", "FP32", (1, 3), data)), "m", shape, 8).payload is data


@pytest.mark.parametrize("sizes", [(3,), (3, 1)])
def test_rows_of_one_element_may_have_the_axis_that_their_configuration_has(sizes: tuple[int, ...]) -> None:
    lengths = np.array([5, 6, 7], np.int64)
    alone = ModelShape((TensorSpec("n", "int64", (None,)),), (), frozenset(), True)
    request = tensor_request(call(tensor("n", "INT64", sizes, lengths.tobytes())), "m", alone, 8)
    rows = TensorLayout.from_json(request.declared).prepare(memoryview(request.payload)).rows
    assert [row["n"].tolist() for row in rows] == [[5], [6], [7]]
    with pytest.raises(WrongShape):
        tensor_request(call(tensor("n", "INT64", (1, 3), lengths.tobytes())), "m", alone, 8)


def test_any_byte_but_zero_is_true() -> None:
    flags = TensorSpec("f", "bool", (None, 3))
    given = tensor("f", "BOOL", (1, 3), b"\x00\x02\xff")
    alone = ModelShape((flags,), (), frozenset(), True)
    assert bytes(tensor_request(call(given), "m", alone, 8).payload) == b"\x00\x01\x01"
    other = ModelShape((flags, TensorSpec("x", "uint8", (None, 1))), (), frozenset(), True)
    together = tensor_request(call(given, tensor("x", "UINT8", (1, 1), b"\x07")), "m", other, 8)
    assert bytes(together.payload[:3]) == b"\x00\x01\x01"
    assert together.payload[64] == 7


@pytest.mark.parametrize(
    ("inputs", "error", "words"),
    [
        ((), Malformed, "number of inputs between 2 and 3 but got 0 inputs for model 'm'. Got input(s) [],"),
        (good()[:1], Malformed, "Got input(s) ['x'], but missing required input(s) ['mask']."),
        ((*good(), good()[0]), Malformed, "given twice"),
        (
            (*good(), tensor("q", "FP32", (1,), bytes(4))),
            Malformed,
            "unexpected inference input 'q' for model 'm'",
        ),
        ((tensor("x", "FP64", (2, 3), bytes(48)), good()[1]), WrongDtype, "FP64, the model takes FP32"),
        ((tensor("x", "BYTES", (2, 3), b""), good()[1]), WrongDtype, "BYTES, the model takes FP32"),
        ((tensor("x", "BF16", (2, 3), bytes(12)), good()[1]), NotSupported, "BF16"),
        ((tensor("x", "FP32", (2, 4), bytes(32)), good()[1]), WrongShape, "[-1, 3]"),
        ((tensor("x", "FP32", (6,), bytes(24)), good()[1]), WrongShape, "[-1, 3]"),
        ((tensor("x", "FP32", (2, 3), bytes(23)), good()[1]), Malformed, "23 bytes"),
        ((good(3)[0], good(2)[1]), WrongShape, "different sizes: 2, 3"),
        (good(9), WrongShape, "1 to 8"),
        (good(0), WrongShape, "1 to 8"),
    ],
)
def test_what_does_not_fit_is_refused(
    inputs: tuple[InputTensor, ...], error: type[RequestRefused], words: str
) -> None:
    with pytest.raises(error) as refused:
        tensor_request(call(*inputs), "m", SHAPE, 8)
    assert words in refused.value.message


def test_outputs_are_known_and_wanted_once() -> None:
    with pytest.raises(Malformed, match="unexpected inference output 'w' for model 'm', which gives"):
        tensor_request(call(*good(), outputs=(WantedOutput("w"),)), "m", SHAPE, 8)
    with pytest.raises(Malformed, match="twice"):
        tensor_request(call(*good(), outputs=(WantedOutput("y"), WantedOutput("y"))), "m", SHAPE, 8)


def test_a_sequence_runs_in_order_and_begins_anew_where_it_says_so() -> None:
    request = tensor_request(call(*good(), caller="a", sequence=Sequence("7", start=True)), "m", SHAPE, 8)
    assert request.ordered
    assert request.reset_gap_s < 0
    later = tensor_request(call(*good(), caller="a", sequence=Sequence("7")), "m", SHAPE, 8)
    other = tensor_request(call(*good(), caller="b", sequence=Sequence("7")), "m", SHAPE, 8)
    assert later.reset_gap_s > 0
    assert request.stream == later.stream != other.stream  # nobody reaches into another caller's sequence


_names = st.sampled_from(["x", "mask", "h", "y", ""])
_types = st.sampled_from(["FP32", "UINT8", "INT64", "BYTES", "BF16", "NONSENSE", ""])
_sizes = st.lists(st.integers(0, 4), max_size=3).map(tuple)
_any_tensor = st.builds(InputTensor, _names, _types, _sizes, st.binary(max_size=40))


@given(st.lists(_any_tensor, max_size=4))
def test_any_call_is_a_request_that_fits_or_a_typed_refusal(inputs: list[InputTensor]) -> None:
    try:
        request = tensor_request(call(*inputs), "m", SHAPE, 8)
    except RequestRefused:
        return
    layout = TensorLayout.from_json(request.declared)
    for row in layout.prepare(memoryview(request.payload)).rows:
        for spec in SHAPE.inputs:
            if spec.name in row:
                assert row[spec.name].dtype == spec.dtype
                assert row[spec.name].shape == (1, *spec.shape[1:])


def _requested(inputs: tuple[InputTensor, ...], outputs: tuple[str, ...], plans: Plans | None) -> object:
    wanted = tuple(WantedOutput(name) for name in outputs)
    try:
        return tensor_request(call(*inputs, outputs=wanted), "m", SHAPE, 8, plans)
    except RequestRefused as error:
        return type(error), error.message


_good_calls = st.integers(1, 3).flatmap(lambda rows: st.permutations(good(rows))).map(tuple)
_any_calls = st.lists(_any_tensor, max_size=4).map(tuple)
_asked = st.tuples(_good_calls | _any_calls, st.sampled_from([(), ("y",), ("z", "y"), ("x",)]))


@given(st.lists(_asked, max_size=8))
def test_what_was_found_of_calls_before_changes_nothing(
    asked: list[tuple[tuple[InputTensor, ...], tuple[str, ...]]],
) -> None:
    plans: Plans = {}
    for inputs, outputs in asked:
        assert _requested(inputs, outputs, plans) == _requested(inputs, outputs, None)


def test_no_more_is_remembered_than_a_bound() -> None:
    any_size = ModelShape((TensorSpec("x", "uint8", (None,)),), (TensorSpec("y", "float32", (1,)),))
    plans: Plans = {}
    for size in range(1000):
        x = tensor("x", "UINT8", (size,), bytes(size))
        assert tensor_request(call(x), "m", any_size, 8, plans).payload == x.data
        assert 1 <= len(plans) <= 256
