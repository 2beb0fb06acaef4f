"""Taking tensors out of a message by hand gives what a parser gives, for any bytes at all."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.serving.rpc import protocol, wire

RAW, ID = 7, 3


def request(data: bytes) -> Any:
    """Return a parsed request; None for what is none."""
    try:
        return protocol.message("inference.ModelInferRequest").FromString(data)
    except DecodeError:
        return None


def with_raws(message: Any, raws: list[bytes]) -> Any:
    """Return a message with these raw tensors."""
    if message is not None:
        message.raw_input_contents.extend(raws)
    return message


def check(data: bytes) -> None:
    """Compare with the parser."""
    found = wire.split(data, RAW)
    if found is None:
        return
    rest, (raws,) = found
    both = wire.split(data, RAW, ID)
    assert both is not None
    whole = request(data)
    if whole is not None:
        assert [bytes(each) for each in both[1][0]] == [bytes(each) for each in raws]
        assert (bytes(both[1][1][-1]) if both[1][1] else b"") == whole.id.encode()
        assert request(both[0]).id == ""
    assert with_raws(request(rest), [bytes(raw) for raw in raws]) == request(data)


@given(st.binary(max_size=200))
@example(b"\x3a\x03abc\x0a\x01x")
@example(b"\x3a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01")
@example(b"\xba\x80\x00\x01a")
@example(b"\x0b\x3a\x01a\x0c")
def test_any_bytes_are_judged_as_the_parser_judges_them(data: bytes) -> None:
    check(data)


names = st.text(max_size=5)
tensors = st.lists(st.tuples(names, st.lists(st.integers(-1, 2**40), max_size=3)), max_size=3)


@given(names, tensors, st.lists(st.binary(max_size=300), max_size=4), st.data())
def test_what_is_cut_or_changed_is_judged_as_the_parser_judges_it(
    name: str, inputs: list[tuple[str, list[int]]], raws: list[bytes], data: st.DataObject
) -> None:
    message = protocol.message("inference.ModelInferRequest")(model_name=name, id=name)
    for tensor, shape in inputs:
        message.inputs.add(name=tensor, shape=shape)
    message.raw_input_contents.extend(raws)
    whole = bytearray(message.SerializeToString())
    found = wire.split(bytes(whole), RAW)
    assert found is not None
    assert [bytes(each) for each in found[1][0]] == raws
    check(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    if whole:
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] = data.draw(st.integers(0, 255))
        check(bytes(whole))


@given(st.lists(st.binary(max_size=400), max_size=4), st.integers(1, 15))
def test_a_field_that_is_written_is_read_again(values: list[bytes], number: int) -> None:
    data = b"".join(wire.field(number, values))
    found = wire.split(data, number)
    assert found is not None
    assert (found[0], [bytes(each) for each in found[1][0]]) == (b"", values)


def test_values_are_views_on_what_came_and_no_copies() -> None:
    data = b"".join(wire.field(RAW, [b"a" * 10_000]))
    found = wire.split(data, RAW)
    assert found is not None
    assert found[1][0][0].obj is data
