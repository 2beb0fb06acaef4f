"""Requests and answers over HTTP, read by whoever reads them, and any bytes for an answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from gateway.cli.remote.bodies import plain_values, read_answer, read_model, words_of_error, write_request
from gateway.cli.remote.server import RemoteCall
from gateway.errors import Malformed
from gateway.inference.texts import join_bytes
from gateway.serving.call import InferReply, InputTensor, OutputTensor
from gateway.serving.datatypes import DATATYPES, Kind
from gateway.serving.rest.infer_request import read_request
from gateway.serving.rest.infer_response import write_reply
from gateway.serving.rest.infer_words import InferWords

NUMBERS = [each for each in DATATYPES.values() if each.dtype]
TENSORS = st.sampled_from(NUMBERS).flatmap(
    lambda datatype: arrays(
        datatype.dtype,
        array_shapes(max_dims=3, max_side=4),
        elements={"allow_nan": False, "allow_infinity": False} if datatype.kind is Kind.FLOAT else None,
    ).map(lambda array: InputTensor("x", datatype.name, array.shape, array.tobytes()))
)


@given(TENSORS, st.booleans())
def test_the_gateways_own_door_reads_what_is_written(tensor: InputTensor, binary: bool) -> None:
    body, header_bytes = write_request(RemoteCall("m", "", (tensor,), (), 1.5), binary=binary)
    words = read_request(body, header_bytes, 32)
    (found,) = words.inputs
    assert isinstance(found.data, bytes | memoryview)
    assert (found.datatype, found.shape, bytes(found.data)) == (tensor.datatype, tensor.shape, tensor.data)
    assert (words.timeout_us, words.binary_outputs) == (1_500_000, binary)


@given(TENSORS, st.booleans())
def test_what_the_gateways_own_door_writes_is_read(tensor: InputTensor, binary: bool) -> None:
    output = OutputTensor(tensor.name, tensor.datatype, tensor.shape, tensor.data)
    written = write_reply(InferReply("m", "1", "i", (output,)), InferWords((), (), "", binary), None)
    length = None if written.json_bytes is None else str(written.json_bytes)
    reply = read_answer(written.body, length)
    (found,) = reply.outputs
    assert (reply.model, reply.version, reply.id) == ("m", "1", "i")
    assert (found.datatype, found.shape) == (tensor.datatype, tensor.shape)
    dtype = DATATYPES[tensor.datatype].dtype
    np.testing.assert_array_equal(np.frombuffer(found.data, dtype), np.frombuffer(tensor.data, dtype))


@given(st.binary(max_size=200), st.none() | st.text(max_size=5) | st.integers(-1, 300).map(str))
@example(b'{"outputs": [{"name": "a", "datatype": "INT8", "shape": [1], "data": [[300]]}]}', None)
@example(b'{"outputs": [{"name": "a", "datatype": "INT8", "shape": [1], "data": ["x"]}]}', None)
@example(b'{"outputs": [{"name": "a", "datatype": "INT8", "shape": [true], "data": [{}]}]}', None)
@example(
    b'{"outputs": [{"name": "a", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 9}}]}',
    None,
)
@example(b'{"outputs": [{"name": "a", "datatype": "BF16", "shape": [1], "data": [1]}]}', None)
@example(b'{"outputs": []}tail', "15")
@example(b"[" * 100_000, None)
def test_any_answer_is_read_or_refused(body: bytes, header_bytes: str | None) -> None:
    for read in (lambda: read_answer(body, header_bytes), lambda: read_model(body)):
        try:
            read()
        except Malformed:
            continue
    assert words_of_error(body)


@pytest.mark.parametrize(
    ("datatype", "data"),
    [
        ("FP32", np.array([np.nan], "<f4").tobytes()),
        ("FP64", np.array([np.inf], "<f8").tobytes()),
        ("BF16", b"\0\0"),
        ("BYTES", join_bytes([b"\xff"])),
    ],
)
def test_what_json_cannot_say_is_told(datatype: str, data: bytes) -> None:
    with pytest.raises(Malformed):
        plain_values(datatype, data, "x")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error": "no such model"}', "no such model"),
        (b'{"detail": "not found"}', "not found"),
        (b'{"error": {"code": 1}}', '{"error": {"code": 1}}'),
        (b"plain words", "plain words"),
        (b"", "nothing more"),
        (b"\xff", "\ufffd"),
    ],
)
def test_a_servers_words_are_found_in_whatever_form(body: bytes, words: str) -> None:
    assert words_of_error(body) == words
