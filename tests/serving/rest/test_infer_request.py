"""Requests for inferences: JSON and bytes as the protocol says, and no others."""

from __future__ import annotations

import contextlib
import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import GatewayError, Malformed, NotSupported, WrongDtype, WrongShape
from gateway.serving.call import Sequence
from gateway.serving.model_view import TensorView
from gateway.serving.rest.infer_request import header_length, read_raw, read_request
from gateway.serving.rest.infer_words import InferWords, InputWords, OutputWords, RegionPart
from tests.serving.rest.rest_house import view

X = {"name": "x", "shape": [2], "datatype": "INT16"}


def read(members: Any, behind: bytes = b"") -> InferWords:
    """Read a request of JSON and what lies behind it."""
    head = json.dumps(members).encode()
    return read_request(head + behind, len(head) if behind else None, 16)


def with_parameters(**parameters: Any) -> dict[str, Any]:
    """Return an input whose elements lie where the parameters say."""
    return {**X, "parameters": parameters}


def test_a_request_in_json_is_read_whole() -> None:
    words = read(
        {
            "id": "7",
            "parameters": {
                "timeout": 1500,
                "priority": 2**64 - 1,
                "sequence_id": 2**64 - 1,
                "sequence_start": True,
            },
            "inputs": [{**X, "data": [1, -1]}],
            "outputs": [
                {"name": "y", "parameters": {"classification": 3, "binary_data": False}},
                {"name": "z"},
            ],
        }
    )
    (given,) = words.inputs
    assert (given.name, given.datatype, given.shape) == ("x", "INT16", (2,))
    assert bytes(given.data) == b"\x01\x00\xff\xff"  # type: ignore[arg-type]
    assert words.outputs == (OutputWords("y", 3, binary=False), OutputWords("z"))
    assert (words.id, words.timeout_us, words.priority) == ("7", 1500, 2**64 - 1)
    assert words.sequence == Sequence(str(2**64 - 1), start=True)


def test_members_that_are_null_count_as_missing() -> None:
    """As clients have it that write every member that they know."""
    names = ("timeout", "priority", "sequence_id", "sequence_start", "binary_data_output", "content_type")
    nulls: dict[str, Any] = dict.fromkeys(names)
    region = dict.fromkeys(("shared_memory_region", "shared_memory_byte_size", "shared_memory_offset"))
    given = {**X, "data": [1, -1]}
    bare = read({"inputs": [given], "outputs": [{"name": "y"}]})
    for parameters in (None, nulls):
        asked = {"name": "y", "parameters": parameters and {"binary_data": None, **region}, "shape": None}
        inputs = [{**given, "parameters": parameters and {"binary_data_size": None, **region}}]
        full = read({"id": None, "parameters": parameters, "inputs": inputs, "outputs": [asked]})
        assert full == bare
    assert read({"inputs": [given], "outputs": None}) == read({"inputs": [given]})
    behind = {**X, "data": None, "parameters": {"binary_data_size": 4}}
    assert read({"inputs": [behind]}, b"\x01\x00\xff\xff").inputs == bare.inputs


def test_binary_tensors_are_views_on_the_body_in_the_order_of_their_inputs() -> None:
    inputs = [
        with_parameters(binary_data_size=4),
        {**X, "name": "j", "data": [5, 6]},
        {"name": "t", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 6}},
    ]
    words = read({"inputs": inputs, "parameters": {"binary_data_output": True}}, b"\1\0\2\0" + b"\2\0\0\0hi")
    assert [bytes(each.data) for each in words.inputs] == [b"\1\0\2\0", b"\5\0\6\0", b"\2\0\0\0hi"]  # type: ignore[arg-type]
    assert isinstance(words.inputs[0].data, memoryview)
    assert words.binary_outputs


def test_a_binary_tensor_is_not_copied() -> None:
    head = json.dumps({"inputs": [with_parameters(binary_data_size=4)]}).encode()
    body = bytearray(head + b"\1\0\2\0")
    words = read_request(memoryview(body), len(head), 16)
    body[-1] = 7
    assert bytes(words.inputs[0].data) == b"\1\0\2\7"  # type: ignore[arg-type]


def test_tensors_may_lie_in_shared_memory() -> None:
    lies = {"shared_memory_region": "r", "shared_memory_byte_size": 4}
    words = read(
        {
            "inputs": [with_parameters(**lies, shared_memory_offset=8)],
            "outputs": [{"name": "y", "parameters": lies}],
        }
    )
    assert words.inputs[0].data == RegionPart("r", 8, 4)
    assert words.outputs[0].region == RegionPart("r", 0, 4)
    assert words.uses_regions


def test_the_same_json_before_other_bytes_says_other_tensors() -> None:
    members = {"inputs": [with_parameters(binary_data_size=4), {**X, "name": "j", "data": [5, 6]}]}
    for behind in (b"\1\0\2\0", b"\3\0\4\0"):
        assert [bytes(each.data) for each in read(members, behind).inputs] == [behind, b"\5\0\6\0"]  # type: ignore[arg-type]
    for wrong in (b"\1\0\2", b"\1\0\2\0\0"):
        with pytest.raises(Malformed):
            read(members, wrong)
    kept = read({"inputs": [{**X, "data": [1, 2]}]}).inputs[0].data
    assert isinstance(kept, memoryview)
    assert kept.readonly


@pytest.mark.parametrize(
    ("members", "behind", "says"),
    [
        ({}, b"", "inputs is missing"),
        ({"inputs": {}}, b"", "inputs needs an array"),
        ({"inputs": [1]}, b"", r"inputs\[0\] needs an object"),
        ({"inputs": [{**X}]}, b"", "exactly one of"),
        ({"inputs": [{**with_parameters(binary_data_size=4), "data": [1, 2]}]}, b"\0" * 4, "exactly one of"),
        ({"inputs": [with_parameters(binary_data_size=4)]}, b"\0", "expecting 3 additional bytes"),
        ({"inputs": [with_parameters(binary_data_size=4)]}, b"\0" * 5, "unexpected additional input data"),
        ({"inputs": [with_parameters(binary_data_size=2)]}, b"\0" * 2, "expecting 4"),
        ({"inputs": [with_parameters(binary_data_size=-4)]}, b"", "from 0"),
        ({"inputs": [with_parameters(binary_data_size=True)]}, b"", "whole number"),
        ({"inputs": [with_parameters(shared_memory_region="r")]}, b"", "byte_size is missing"),
        ({"inputs": [with_parameters(shared_memory_offset=1)]}, b"", "region is missing"),
        ({"inputs": [with_parameters(shared_memory_region="r", shared_memory_byte_size=9)]}, b"", "ing 4"),
        ({"inputs": [{**X, "data": [1, 2]}], "id": 7}, b"", "id needs text"),
        ({"inputs": [{"name": "", "shape": [1], "datatype": "INT8", "data": [1]}]}, b"", "name is empty"),
        ({"inputs": [{"shape": [1], "datatype": "INT8", "data": [1]}]}, b"", "name is missing"),
        ({"inputs": [{"name": "x", "datatype": "INT8", "data": [1]}]}, b"", "shape is missing"),
        ({"inputs": [], "parameters": {"triton_x": 1}}, b"", "reserved"),
        ({"inputs": [], "parameters": {"a": {}}}, b"", "needs true, false, a number or text"),
        ({"inputs": None}, b"", "inputs is missing"),
        ({"inputs": [{**X, "data": None}]}, b"", "exactly one"),
        ({"inputs": [{**X, "name": None, "data": [1, 2]}]}, b"", "name is missing"),
        ({"inputs": [], "parameters": {"timeout": -1}}, b"", "from 0"),
        ({"inputs": [], "parameters": {"timeout": "1"}}, b"", "whole number"),
        ({"inputs": [], "parameters": {"priority": -1}}, b"", "from 0"),
        ({"inputs": [], "parameters": {"sequence_start": True}}, b"", "need a sequence_id"),
        ({"inputs": [], "parameters": {"sequence_id": -1}}, b"", "from 0"),
        ({"inputs": [], "outputs": [{"name": "y", "parameters": {"classification": -1}}]}, b"", "from 0"),
        ({"inputs": [], "outputs": [{"name": "y", "parameters": {"binary_data": 1}}]}, b"", "true or false"),
        ([], b"", "needs a JSON object"),
    ],
)
def test_what_is_wrong_is_said(members: Any, behind: bytes, says: str) -> None:
    with pytest.raises(Malformed, match=says):
        read(members, behind)


@pytest.mark.parametrize("shape", [[-1], [2, -3], [1.5], ["2"], [True]])
def test_shapes_are_of_whole_numbers_that_are_not_negative(shape: list[Any]) -> None:
    with pytest.raises(WrongShape):
        read({"inputs": [{"name": "x", "datatype": "INT16", "shape": shape, "data": []}]})


@pytest.mark.parametrize("shape", [[2**40], [2**20, 2**20], [0, 2**63]])
def test_shapes_beyond_all_bodies_are_refused(shape: list[int]) -> None:
    with pytest.raises(GatewayError, match="more than"):
        read({"inputs": [{"name": "x", "datatype": "INT16", "shape": shape, "data": []}]})


def test_unknown_datatypes_are_refused_with_those_that_are_known() -> None:
    with pytest.raises(WrongDtype, match=r"FLOAT.*FP32"):
        read({"inputs": [{"name": "x", "datatype": "FLOAT", "shape": [1], "data": [1]}]})


@pytest.mark.parametrize("text", ["abc", "-1", "", "1.0", "0x10", "1" * 13, "\u0661"])
def test_a_header_length_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match="number of bytes"):
        header_length(text)


def test_a_header_longer_than_the_body_is_refused() -> None:
    with pytest.raises(Malformed, match=r"in range \(0, 2\), got: 3"):
        read_request(b"{}", 3, 16)


@pytest.mark.parametrize("data", [b"\1\0\0", b"\5\0\0\0hi", b"\0\0\0\0" * 2, b""])
def test_texts_in_binary_must_fill_their_bytes(data: bytes) -> None:
    tensor = {"name": "t", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(data)}}
    with pytest.raises(Malformed):
        read({"inputs": [tensor]}, data + b"")


def test_a_raw_request_fills_the_one_input_of_its_model() -> None:
    model = view("m", [TensorView("x", "FP32", (-1, 2, -1))], [], rows=4)
    body = np.arange(6, dtype="<f4").tobytes()
    assert read_raw(body, model) == InferWords((InputWords("x", "FP32", (1, 2, 3), body),), (), "", True)
    texts = read_raw(b"hi", view("m", [TensorView("x", "BYTES", (1,))], []))
    assert texts.inputs[0] == InputWords("x", "BYTES", (1,), struct.pack("<I", 2) + b"hi")


@pytest.mark.parametrize(
    ("inputs", "rows", "error"),
    [
        ([TensorView("x", "FP32", (-1, 2, -1))], 0, NotSupported),
        ([TensorView("x", "FP32", (2,)), TensorView("y", "FP32", (2,))], 0, Malformed),
        ([TensorView("x", "FP32", (-1, 4))], 0, Malformed),
        ([TensorView("x", "FP32", (2,))], 0, Malformed),
        ([TensorView("x", "BYTES", (2,))], 0, NotSupported),
        ([], 0, Malformed),
    ],
)
def test_a_raw_request_that_does_not_fit_is_refused(
    inputs: list[TensorView], rows: int, error: type[GatewayError]
) -> None:
    with pytest.raises(error):
        read_raw(b"\0" * 20, view("m", inputs, [], rows))


_WORDS = ("x", "INT16", "FP32", "BYTES", "triton_a", "")
_KEYS = (
    *("name", "shape", "datatype", "data", "parameters", "inputs", "outputs", "id", "binary_data_size"),
    *("timeout", "sequence_id", "shared_memory_region", "shared_memory_byte_size", "classification"),
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**65) | st.floats() | st.sampled_from(_WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=5),
    max_leaves=15,
)


@given(
    st.dictionaries(st.sampled_from(["inputs", "outputs", "parameters", "id"]), _VALUES),
    st.binary(max_size=12),
    st.integers(-2, 40),
)
@example({"inputs": [{"name": "x", "shape": [1], "datatype": "BYTES", "data": ["\ud800"]}]}, b"", 0)
def test_any_request_gives_words_or_one_typed_error(members: Any, behind: bytes, cut: int) -> None:
    head = json.dumps(members).encode()
    with contextlib.suppress(GatewayError):
        read_request(head + behind, None if cut < 0 else max(0, len(head) - cut), 16)
