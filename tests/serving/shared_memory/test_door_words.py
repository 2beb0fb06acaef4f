"""The words of the memory door: what is understood, and that anything else is one typed error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import GatewayError, Malformed, Overloaded, RateLimited, TooLarge, WrongDtype, WrongShape
from gateway.serving.call import InferReply, OutputTensor, Sequence
from gateway.serving.model_view import ModelView, TensorView
from gateway.serving.shared_memory.door_words import (
    MAX_PACKET_BYTES,
    Cancel,
    Describe,
    Infer,
    Part,
    PlacedInput,
    PlacedOutput,
    Release,
    Share,
    answer,
    call_number,
    description,
    encoded,
    hello,
    inferred,
    read_packet,
    refusal,
    word_of,
)

INPUT = {"name": "A", "datatype": "INT32", "shape": [2, 3], "region": "r"}
INTO = {"region": "o", "offset": 64, "byte_size": 100}


def infer(**fields: Any) -> dict[str, Any]:
    """Return the fields of a call."""
    return {"do": "infer", "call": 1, "model": "m", "inputs": [INPUT], "into": INTO, **fields}


def test_every_word_is_read_with_its_fields() -> None:
    assert word_of({"do": "share", "call": 0, "region": "r"}) == Share("r")
    assert word_of({"do": "release", "call": 2**53 - 1, "region": "r"}) == Release("r")
    assert word_of({"do": "describe", "call": 1, "model": "m"}) == Describe("m", "")
    assert word_of({"do": "cancel", "call": 1}) == Cancel()
    placed = PlacedInput("A", "INT32", (2, 3), Part("r", 0, 24))
    assert word_of(infer()) == Infer("m", "", "", 0, (placed,), (), Part("o", 64, 100), None, "")
    text = {"name": "T", "datatype": "BYTES", "shape": [1], "region": "r", "offset": 8, "byte_size": 9}
    outputs = [{"name": "X", "classes": 3}, {"name": "Y", **INTO}]
    sequence = {"id": "s", "start": True}
    word = word_of(
        infer(inputs=[text], outputs=outputs, version="2", id="7", timeout_us=5, sequence=sequence, trace="t")
    )
    assert word == Infer(
        "m",
        "2",
        "7",
        5,
        (PlacedInput("T", "BYTES", (1,), Part("r", 8, 9)),),
        (PlacedOutput("X", 3, None), PlacedOutput("Y", 0, Part("o", 64, 100))),
        Part("o", 64, 100),
        Sequence("s", start=True),
        "t",
    )


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        ({"model": None}, Malformed, "model must be a text"),
        ({"model": "x" * 256}, Malformed, "model must be a text of at most 255"),
        ({"timeout_us": -1}, Malformed, "timeout_us must be a whole number"),
        ({"timeout_us": 1.5}, Malformed, "timeout_us must be a whole number"),
        ({"timeout_us": True}, Malformed, "timeout_us must be a whole number"),
        ({"timeout_us": 2**53}, Malformed, "timeout_us must be a whole number"),
        ({"more": 1}, Malformed, "a field is not known here, among call, do, .*more"),
        ({"into": {**INTO, "more": 1}}, Malformed, "into: a field is not known"),
        ({"into": {"region": "o"}}, Malformed, "byte_size must be there"),
        ({"into": []}, Malformed, "into must be an object"),
        ({"inputs": {}}, Malformed, "inputs must be a list of objects"),
        ({"inputs": [1]}, Malformed, "inputs must be a list of objects"),
        ({"inputs": [INPUT] * 257}, TooLarge, "257 inputs, at most 256"),
        ({"inputs": [{**INPUT, "datatype": "INT3"}]}, WrongDtype, "INT3"),
        ({"inputs": [{**INPUT, "shape": [-1]}]}, WrongShape, "negative"),
        ({"inputs": [{**INPUT, "shape": [True]}]}, Malformed, "shape must be a list of whole numbers"),
        ({"inputs": [{**INPUT, "shape": [2**40, 2**40]}]}, WrongShape, "shape"),
        ({"inputs": [{**INPUT, "byte_size": 25}]}, Malformed, "25 bytes; INT32 of shape .* takes 24"),
        ({"inputs": [{**INPUT, "datatype": "BYTES"}]}, Malformed, "byte_size must be there"),
        ({"sequence": {"id": ""}}, Malformed, "a sequence has an id"),
        ({"sequence": {"id": "s", "start": 1}}, Malformed, "start must be true or false"),
        ({"outputs": [{"name": "X", "region": "o"}]}, Malformed, "byte_size must be there"),
        ({"do": "fly"}, Malformed, "'fly' is none of share"),
        ({"do": 1}, Malformed, "do must be a text"),
    ],
)
def test_what_is_wrong_with_a_word_is_said(
    fields: dict[str, Any], kind: type[GatewayError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        word_of(infer(**fields))


def test_a_call_says_where_its_outputs_go() -> None:
    for outputs in ([], [{"name": "X"}], [{"name": "X", **INTO}, {"name": "Y"}]):
        fields = infer(outputs=outputs)
        del fields["into"]
        with pytest.raises(Malformed, match="does not say where its outputs go"):
            word_of(fields)
    fields = infer(outputs=[{"name": "X", **INTO}])
    del fields["into"]
    word = word_of(fields)
    assert isinstance(word, Infer)
    assert word.into is None


@given(packet=st.binary(max_size=200))
@example(packet=b"[" * 60_000)
@example(packet=b'{"call":' + b"9" * 60_000 + b"}")
@example(packet=b'{"call":NaN}')
@example(packet=b'{"call":1e999}')
@example(packet=b'{"call":1,"do":"\\ud800"}')
@example(packet=b"\xff")
@example(packet=b"{}")
@example(packet=b"[]")
def test_any_bytes_are_a_word_or_one_typed_error(packet: bytes) -> None:
    try:
        head = read_packet(packet)
        assert 0 <= call_number(head) < 2**53
        word_of(head)
    except GatewayError as error:
        assert len(refusal(None, error)) <= MAX_PACKET_BYTES


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ("do", "call", "model", "version", "id", "timeout_us", "inputs", "outputs", "into", "sequence", "trace")
)


@given(fields=st.dictionaries(KEYS | st.text(max_size=5), VALUES, max_size=5), part=VALUES)
def test_any_fields_are_a_word_or_one_typed_error(fields: dict[str, Any], part: Any) -> None:
    for head in (infer(**fields), infer(inputs=[{**INPUT, "shape": part}]), infer(outputs=[{"name": part}])):
        try:
            word_of(head)
        except GatewayError as error:
            assert len(refusal(1, error)) <= MAX_PACKET_BYTES


def test_answers_are_what_a_client_reads() -> None:
    said = read_packet(hello("gateway", 4096, 64))
    assert (said["do"], said["protocol"], said["max_packet_bytes"]) == ("hello", 1, MAX_PACKET_BYTES)
    assert read_packet(answer(3, byte_size=5)) == {"call": 3, "byte_size": 5}
    output = OutputTensor("X", "FP32", (1, 2), b"12345678")
    reply = InferReply("m", "1", "id", (output,), {"p": 1})
    said = read_packet(inferred(4, reply, [Part("r", 64, 8)]))
    placed = {"name": "X", "datatype": "FP32", "shape": [1, 2], "region": "r", "offset": 64, "byte_size": 8}
    assert said == {
        "call": 4, "model": "m", "version": "1", "id": "id", "outputs": [placed], "parameters": {"p": 1}
    }  # fmt: skip
    view = ModelView("m", "1", ("1",), "p", (TensorView("A", "INT32", (-1, 2)),), (), 0, 1, {})
    said = read_packet(description(5, view))
    assert said["inputs"] == [{"name": "A", "datatype": "INT32", "shape": [-1, 2]}]


def test_errors_carry_their_label_and_how_long_to_wait() -> None:
    said = read_packet(refusal(7, RateLimited("too often", retry_after_s=0.25)))
    error = {"label": "unavailable.rate_limited", "message": "too often", "retry_after_s": 0.25}
    assert (said["call"], said["error"]) == (7, error)
    assert [each["label"] for each in said["details"]] == ["unavailable.rate_limited"]
    said = read_packet(refusal(None, Overloaded("full")))
    assert said["error"] == {"label": "unavailable.overloaded", "message": "full"}
    assert "call" not in said


def test_an_answer_that_fits_no_packet_is_an_error_that_does() -> None:
    outputs = tuple(OutputTensor("X" * 200, "FP32", (1,), b"1234") for _ in range(400))
    packet = inferred(1, InferReply("m", "1", "", outputs), [Part("r", 0, 4)] * 400)
    assert json.loads(packet)["error"]["label"] == "refused.too_large"
    assert len(encoded({"message": refusal(1, Malformed("x" * 10**6)).decode()})) < MAX_PACKET_BYTES
