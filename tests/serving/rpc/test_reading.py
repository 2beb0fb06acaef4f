"""Requests are read whole and exactly, and whatever is wrong with one is said with the tensor's name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Malformed, NotSupported, RequestRefused, TooLarge, WrongDtype, WrongShape
from gateway.inference.texts import join_bytes
from gateway.serving.call import InputTensor, Sequence, WantedOutput
from gateway.serving.datatypes import DATATYPES
from gateway.serving.rest.infer_words import RegionPart
from gateway.serving.rpc.reading import PlacedInput, id_of, read
from tests.serving.rpc.requests import add_raw, echo, put, request

TYPED: dict[str, tuple[str, Any]] = {
    "BOOL": ("bool_contents", [True, False]),
    "INT8": ("int_contents", [-128, 127]),
    "INT16": ("int_contents", [-32768, 32767]),
    "INT32": ("int_contents", [-(2**31), 2**31 - 1]),
    "INT64": ("int64_contents", [-(2**63), 2**63 - 1]),
    "UINT8": ("uint_contents", [0, 255]),
    "UINT16": ("uint_contents", [0, 65535]),
    "UINT32": ("uint_contents", [0, 2**32 - 1]),
    "UINT64": ("uint64_contents", [0, 2**64 - 1]),
    "FP32": ("fp32_contents", [1.5, float("inf")]),
    "FP64": ("fp64_contents", [1e300, -0.0]),
    "BYTES": ("bytes_contents", [b"", b"ab"]),
}


def flat(words: InputTensor | PlacedInput) -> bytes:
    """Return the bytes of an input that is not in shared memory."""
    assert isinstance(words, InputTensor)
    return bytes(words.data)


@pytest.mark.parametrize("size", [4, 40_000])
def test_raw_tensors_are_taken_in_order_whatever_their_length(size: int) -> None:
    made = request("m", "7", priority=2**64 - 1, unknown=1.5)
    made.model_version = "2"
    for name, value in (("A", 1), ("B", 2)):
        add_raw(made, name, np.full((1, size), value, np.uint8), "UINT8")
    words = read(made.SerializeToString())
    assert (words.model, words.version, words.id, words.timeout_us, words.sequence) == (
        "m",
        "2",
        "7",
        0,
        None,
    )
    assert words.priority == 2**64 - 1
    assert [(each.name, each.datatype, each.shape, flat(each)) for each in words.inputs] == [
        ("A", "UINT8", (1, size), b"\1" * size),
        ("B", "UINT8", (1, size), b"\2" * size),
    ]


def test_requests_that_differ_in_ids_and_elements_alone_are_told_apart() -> None:
    for n in range(3):
        words = read(echo(b"%d" % n, str(n)).SerializeToString())
        assert (words.id, flat(words.inputs[0])) == (str(n), b"%d" % n)
    assert read(echo(b"1").SerializeToString()).id == ""
    typed = request()
    typed.inputs.add(name="IN", datatype="UINT8", shape=[1])
    for n in (1, 2):
        typed.inputs[0].contents.uint_contents[:] = [n]
        assert flat(read(typed.SerializeToString()).inputs[0]) == bytes([n])
    # The same words with and without raw tensors are not the same request.
    bare = echo(b"1")
    bare.ClearField("raw_input_contents")
    with pytest.raises(Malformed, match="0 elements"):
        read(bare.SerializeToString())


def test_an_id_that_is_no_text_is_refused() -> None:
    with pytest.raises(Malformed):
        read(echo().SerializeToString() + b"\x1a\x01\xff")


def test_the_id_of_a_request_is_known_whatever_else_is_wrong_with_it() -> None:
    short = echo(b"abc", "7")
    short.inputs[0].shape[0] = 4
    with pytest.raises(Malformed):
        read(short.SerializeToString())
    assert id_of(short.SerializeToString()) == "7"
    assert id_of(b"\x1a\x02\xff\xfe") == "\ufffd\ufffd"
    assert id_of(echo(b"abc", "x" * 2000).SerializeToString()) == id_of(b"\xff\xff") == id_of(b"") == ""


def test_a_long_tensor_is_a_view_on_the_request() -> None:
    data = echo(b"x" * 100_000).SerializeToString()
    (tensor,) = read(data).inputs
    assert isinstance(tensor, InputTensor)
    assert isinstance(tensor.data, memoryview)
    assert tensor.data.obj is data


@pytest.mark.parametrize("datatype", sorted(TYPED))
def test_typed_elements_become_the_same_bytes_as_raw_ones(datatype: str) -> None:
    name, elements = TYPED[datatype]
    made = request()
    made.inputs.add(name="IN", datatype=datatype, shape=[2])
    getattr(made.inputs[0].contents, name).extend(elements)
    expected = (
        join_bytes(elements)
        if datatype == "BYTES"
        else np.array(elements, DATATYPES[datatype].dtype).tobytes()
    )
    assert read(made.SerializeToString()).inputs == (InputTensor("IN", datatype, (2,), expected),)


@pytest.mark.parametrize(
    ("datatype", "element"),
    [("INT8", 128), ("INT8", -129), ("INT16", 2**15), ("UINT8", 256), ("UINT16", 2**16)],
)
def test_an_element_out_of_its_types_range_is_named(datatype: str, element: int) -> None:
    made = request()
    made.inputs.add(name="IN", datatype=datatype, shape=[2])
    getattr(made.inputs[0].contents, TYPED[datatype][0]).extend([0, element])
    with pytest.raises(Malformed, match=f"element 1 is {element}"):
        read(made.SerializeToString())


def test_raw_and_typed_together_are_refused() -> None:
    made = echo()
    made.inputs[0].contents.uint_contents.append(1)
    words = "contents field must not be specified when using raw_input_contents for 'IN' for model 'echo'"
    with pytest.raises(Malformed, match=words):
        read(made.SerializeToString())


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda made: made.raw_input_contents.append(b"x"), Malformed, "more entries than inputs"),
        (lambda made: made.inputs.add(name="B", datatype="UINT8", shape=[1]), Malformed, "no entry left"),
        (lambda made: made.inputs[0].shape.append(2), Malformed, "'IN': 5 bytes"),
        (lambda made: made.inputs[0].shape.append(-1), WrongShape, "negative"),
        (lambda made: made.inputs[0].shape.extend([2**62, 2**62]), WrongShape, "elements"),
        (lambda made: setattr(made.inputs[0], "datatype", "FLOAT"), WrongDtype, "'IN'"),
        (lambda made: setattr(made.inputs[0], "datatype", "BYTES"), Malformed, "'IN'"),
        (lambda made: made.parameters["x"], Malformed, "no value"),
        (lambda made: put(made.parameters, triton_x=1), Malformed, "reserved"),
        (lambda made: put(made.parameters, timeout=-1), Malformed, "timeout"),
        (lambda made: put(made.parameters, timeout=True), Malformed, "timeout"),
        (lambda made: put(made.parameters, priority="high"), Malformed, "priority"),
        (lambda made: put(made.parameters, sequence_start=True), Malformed, "sequence_id"),
        (lambda made: put(made.parameters, sequence_id=1.5), Malformed, "sequence_id"),
        (lambda made: put(made.inputs[0].parameters, shared_memory_offset=1), Malformed, "is missing"),
        (lambda made: setattr(made, "id", "x" * 1025), TooLarge, "id"),
    ],
)
def test_what_is_wrong_is_said(change: Any, error: type[RequestRefused], words: str) -> None:
    made = echo()
    change(made)
    with pytest.raises(error, match=words):
        read(made.SerializeToString())


def test_typed_elements_must_be_as_many_as_the_shape_says_and_in_the_right_list() -> None:
    made = request()
    made.inputs.add(name="IN", datatype="INT32", shape=[3])
    made.inputs[0].contents.int_contents.extend([1, 2])
    with pytest.raises(Malformed, match="2 elements, the shape takes 3"):
        read(made.SerializeToString())
    made.inputs[0].contents.int64_contents.append(3)
    with pytest.raises(WrongDtype, match="int64_contents"):
        read(made.SerializeToString())
    made.inputs[0].datatype = "FP16"
    with pytest.raises(WrongDtype, match="raw_input_contents"):
        read(made.SerializeToString())


def test_a_tensor_without_elements_needs_no_contents() -> None:
    made = request()
    made.inputs.add(name="IN", datatype="FP32", shape=[0, 3])
    assert read(made.SerializeToString()).inputs == (InputTensor("IN", "FP32", (0, 3), b""),)


def test_inputs_in_shared_memory_take_no_raw_entry() -> None:
    made = request()
    placed = made.inputs.add(name="A", datatype="INT32", shape=[2])
    put(placed.parameters, shared_memory_region="r", shared_memory_byte_size=8, shared_memory_offset=16)
    add_raw(made, "B", np.zeros(2, np.int32), "INT32")
    words = read(made.SerializeToString())
    assert words.inputs[0] == PlacedInput("A", "INT32", (2,), RegionPart("r", 16, 8))
    assert flat(words.inputs[1]) == b"\0" * 8
    placed.shape.append(2)
    with pytest.raises(Malformed, match="unexpected total byte size 8 for input 'A', expecting 16"):
        read(made.SerializeToString())


def test_outputs_say_classes_or_a_region_and_not_both() -> None:
    made = echo()
    put(made.outputs.add(name="a").parameters, classification=3)
    put(
        made.outputs.add(name="b").parameters,
        shared_memory_region="r",
        shared_memory_byte_size=8,
        binary_data=True,
    )
    made.outputs.add(name="c")
    words = read(made.SerializeToString())
    assert words.outputs == (WantedOutput("a", 3), WantedOutput("b"), WantedOutput("c"))
    assert words.places == {"b": RegionPart("r", 0, 8)}
    put(made.outputs[0].parameters, shared_memory_region="r", shared_memory_byte_size=8)
    with pytest.raises(NotSupported, match="classes"):
        read(made.SerializeToString())


@pytest.mark.parametrize(("sequence_id", "name"), [(5, "5"), (2**64 - 1, str(2**64 - 1)), ("cam", "cam")])
def test_sequences_are_named_by_numbers_or_words(sequence_id: Any, name: str) -> None:
    made = echo(sequence_id=sequence_id, sequence_start=True, sequence_end=False, timeout=1500)
    words = read(made.SerializeToString())
    assert (words.sequence, words.timeout_us) == (Sequence(name, start=True), 1500)
    assert read(echo(sequence_id=0).SerializeToString()).sequence is None


@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_or_one_typed_error(data: bytes) -> None:
    try:
        read(data)
    except RequestRefused as error:
        assert error.message
    assert len(id_of(data)) <= 1024


@given(st.data())
def test_a_request_that_is_damaged_is_read_or_refused(data: st.DataObject) -> None:
    made = echo(b"x" * data.draw(st.sampled_from([3, 9000])), sequence_id=3, timeout=10)
    put(made.outputs.add(name="OUT").parameters, classification=1)
    whole = bytearray(made.SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, min(len(whole), 120) - 1))] = data.draw(st.integers(0, 255))
    try:
        read(bytes(whole))
    except RequestRefused as error:
        assert error.message
