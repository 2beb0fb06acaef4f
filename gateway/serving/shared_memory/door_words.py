"""The words of the memory door: one JSON object a packet, both ways, each bounded and checked. Pure.

A packet from a client says what to ``do`` and has a ``call`` number that its
answer repeats. docs/shared-memory.md describes every word.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from gateway.errors import GatewayError, Malformed, TooLarge
from gateway.serving.call import InferReply, Parameter, Sequence
from gateway.serving.datatypes import Kind, datatype_named, element_count
from gateway.serving.error_words import error_words
from gateway.serving.model_view import ModelView

PROTOCOL: Final = 1
MAX_PACKET_BYTES: Final = 65_536
MAX_TENSORS: Final = 256
# Where an output of an area begins: enough for any element type, and a cache line.
ALIGN: Final = 64
_LONGEST_TEXT: Final = 255
_GREATEST: Final = 2**53 - 1

Head = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of a region: its name, where they begin, how many they are."""

    region: str
    offset: int
    byte_size: int


@dataclass(frozen=True, slots=True)
class Share:
    """Take the descriptor that came along as a region of this name."""

    region: str


@dataclass(frozen=True, slots=True)
class Release:
    """Forget a region."""

    region: str


@dataclass(frozen=True, slots=True)
class Describe:
    """Say what a model takes and gives."""

    model: str
    version: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """Give up a call that was asked for earlier."""


@dataclass(frozen=True, slots=True)
class PlacedInput:
    """An input that lies in a region."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    part: Part


@dataclass(frozen=True, slots=True)
class PlacedOutput:
    """An output that is wanted, and where it goes; None for the next free place of the call's area."""

    name: str
    classes: int
    part: Part | None


@dataclass(frozen=True, slots=True)
class Infer:
    """Run a model.

    Attributes:
        model: Name of a model or of an alias.
        version: Its version; empty for the one that serves.
        id: The client's id of the request, given back.
        timeout_us: Microseconds that it may take; 0 for the gateway's own limit.
        inputs: What goes in.
        outputs: What is wanted; empty for everything.
        into: Where outputs go that have no place of their own, one after the other.
        sequence: Its place in a sequence.
        trace: A W3C ``traceparent``; empty for none.
    """

    model: str
    version: str
    id: str
    timeout_us: int
    inputs: tuple[PlacedInput, ...]
    outputs: tuple[PlacedOutput, ...]
    into: Part | None
    sequence: Sequence | None
    trace: str


Word = Share | Release | Describe | Cancel | Infer


def read_packet(packet: bytes | bytearray | memoryview) -> Head:
    """Return the object in a packet.

    Raises:
        Malformed: There is none.
    """
    try:
        head = _DECODER.decode(str(packet, "utf-8"))
    except (ValueError, RecursionError) as error:
        raise Malformed(f"the packet is no JSON: {str(error)[:100]}") from None
    if not isinstance(head, dict):
        raise Malformed("the packet is no JSON object")
    return head


def call_number(head: Head) -> int:
    """Return the number by which a client tells its calls apart.

    Raises:
        Malformed: It has none.
    """
    return _Fields(head, "packet").number("call")


def word_of(head: Head) -> Word:
    """Return what a client wants.

    Raises:
        Malformed: A field is missing, unknown, or not of its kind.
        WrongDtype: A datatype is none of the protocol's.
        WrongShape: A size is negative, or there are too many axes.
        TooLarge: There are too many tensors or elements.
    """
    fields = _Fields(head, "packet")
    fields.number("call")
    do = fields.text("do")
    word: Word
    if do == "infer":
        word = _infer(fields)
    elif do == "share":
        word = Share(fields.text("region"))
    elif do == "release":
        word = Release(fields.text("region"))
    elif do == "describe":
        word = Describe(fields.text("model"), fields.text("version", ""))
    elif do == "cancel":
        word = Cancel()
    else:
        raise Malformed(f"{do[:40]!r} is none of share, release, describe, infer, cancel")
    fields.end()
    return word


def hello(server: str, max_region_bytes: int, max_calls: int) -> bytes:
    """Return the gateway's first packet."""
    return encoded(
        {
            "do": "hello",
            "protocol": PROTOCOL,
            "server": server,
            "max_packet_bytes": MAX_PACKET_BYTES,
            "max_region_bytes": max_region_bytes,
            "max_calls": max_calls,
        }
    )


def answer(call: int, **fields: Parameter) -> bytes:
    """Return the answer to anything but an inference."""
    return encoded({"call": call, **fields})


def description(call: int, view: ModelView) -> bytes:
    """Return the answer to ``describe``."""
    tensors = {
        key: [{"name": each.name, "datatype": each.datatype, "shape": each.shape} for each in tensors]
        for key, tensors in (("inputs", view.inputs), ("outputs", view.outputs))
    }
    head = {"call": call, "model": view.name, "version": view.version, "versions": view.versions}
    return _bounded(call, encoded({**head, "platform": view.platform, **tensors}))


def inferred(call: int, reply: InferReply, parts: Iterable[Part]) -> bytes:
    """Return the answer to ``infer``: where each output lies."""
    # By hand, since this is what every call waits for.
    said = _ENCODER.encode
    outputs = ",".join(
        f'{{"name":{said(output.name)},"datatype":"{output.datatype}","shape":{list(output.shape)},'
        f'"region":{said(part.region)},"offset":{part.offset},"byte_size":{part.byte_size}}}'
        for output, part in zip(reply.outputs, parts, strict=True)
    )
    more = f',"parameters":{said(dict(reply.parameters))}' if reply.parameters else ""
    text = (
        f'{{"call":{call},"model":{said(reply.model)},"version":{said(reply.version)},"id":{said(reply.id)},'
        f'"outputs":[{outputs}]{more}}}'
    )
    return _bounded(call, text.encode("utf-8", "backslashreplace"))


def refusal(call: int | None, error: GatewayError) -> bytes:
    """Return an error as an answer; without a call it is the last packet."""
    words = error_words(error)
    said: dict[str, Any] = {"label": words["label"], "message": words["error"]}
    wait_s = error.attributes.get("retry_after_s")
    if isinstance(wait_s, int | float):
        said["retry_after_s"] = wait_s
    head: dict[str, Any] = {"error": said} if call is None else {"call": call, "error": said}
    packet = encoded({**head, "details": words["details"]})
    return packet if len(packet) <= MAX_PACKET_BYTES else encoded(head)


def encoded(head: Head) -> bytes:
    """Return the packet of an object."""
    return _ENCODER.encode(head).encode("utf-8", "backslashreplace")


def _bounded(call: int, packet: bytes) -> bytes:
    if len(packet) > MAX_PACKET_BYTES:
        return refusal(call, TooLarge(f"the answer has {len(packet)} bytes; a packet has {MAX_PACKET_BYTES}"))
    return packet


def _infer(fields: _Fields) -> Infer:
    into = fields.inner("into")
    sequence = fields.inner("sequence")
    word = Infer(
        model=fields.text("model"),
        version=fields.text("version", ""),
        id=fields.text("id", ""),
        timeout_us=fields.number("timeout_us", 0),
        inputs=tuple(_input(each) for each in fields.inners("inputs")),
        outputs=tuple(_output(each) for each in fields.inners("outputs")),
        into=None if into is None else _part(into),
        sequence=None if sequence is None else _sequence(sequence),
        trace=fields.text("trace", ""),
    )
    if word.into is None and (not word.outputs or any(each.part is None for each in word.outputs)):
        raise Malformed(
            "the call does not say where its outputs go: give each a region, or name one in 'into'"
        )
    return word


def _input(fields: _Fields) -> PlacedInput:
    name, datatype = fields.text("name"), fields.text("datatype")
    shape = fields.sizes("shape")
    kind = datatype_named(datatype, f"input {name}")
    count = element_count(shape, f"input {name}")
    if kind.kind is Kind.BYTES:
        byte_size = fields.number("byte_size")
    else:
        byte_size = fields.number("byte_size", count * kind.size)
        if byte_size != count * kind.size:
            takes = f"{datatype} of shape {list(shape)} takes {count * kind.size}"
            raise Malformed(f"input {name} has {byte_size} bytes; {takes}")
    part = Part(fields.text("region"), fields.number("offset", 0), byte_size)
    fields.end()
    return PlacedInput(name, datatype, shape, part)


def _output(fields: _Fields) -> PlacedOutput:
    name, classes = fields.text("name"), fields.number("classes", 0)
    if fields.has("region"):
        return PlacedOutput(name, classes, _part(fields))
    fields.end()
    return PlacedOutput(name, classes, None)


def _part(fields: _Fields) -> Part:
    part = Part(fields.text("region"), fields.number("offset", 0), fields.number("byte_size"))
    fields.end()
    return part


def _sequence(fields: _Fields) -> Sequence:
    sequence = Sequence(fields.text("id"), fields.flag("start"), fields.flag("end"))
    fields.end()
    if not sequence.id:
        raise Malformed("packet: a sequence has an id")
    return sequence


class _Fields:
    """Takes the fields of one object, each by its kind, and knows at the end which nobody took."""

    def __init__(self, head: Head, what: str) -> None:
        self._head = head
        self._what = what
        self._taken = 0

    def has(self, key: str) -> bool:
        return key in self._head

    def text(self, key: str, default: str | None = None) -> str:
        value = self._take(key, default)
        if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
            raise self._wrong(key, f"a text of at most {_LONGEST_TEXT} characters")
        return value

    def number(self, key: str, default: int | None = None) -> int:
        value = self._take(key, default)
        if type(value) is not int or not 0 <= value <= _GREATEST:
            raise self._wrong(key, "a whole number from 0 to 2^53 - 1")
        return value

    def flag(self, key: str) -> bool:
        value = self._take(key, default=False)
        if not isinstance(value, bool):
            raise self._wrong(key, "true or false")
        return value

    def sizes(self, key: str) -> tuple[int, ...]:
        value = self._take(key, None)
        if not isinstance(value, list) or any(type(each) is not int for each in value):
            raise self._wrong(key, "a list of whole numbers")
        return tuple(value)

    def inner(self, key: str) -> _Fields | None:
        if key not in self._head:
            return None
        value = self._take(key, None)
        if not isinstance(value, dict):
            raise self._wrong(key, "an object")
        return _Fields(value, key)

    def inners(self, key: str) -> list[_Fields]:
        value = self._take(key, ())
        if not isinstance(value, list | tuple) or not all(isinstance(each, dict) for each in value):
            raise self._wrong(key, "a list of objects")
        if len(value) > MAX_TENSORS:
            raise TooLarge(f"{self._what}: {len(value)} {key}, at most {MAX_TENSORS} are taken")
        return [_Fields(each, key) for each in value]

    def end(self) -> None:
        if self._taken != len(self._head):
            known = ", ".join(sorted(str(key)[:40] for key in self._head)[:20])
            raise Malformed(f"{self._what}: a field is not known here, among {known}")

    def _take(self, key: str, default: object) -> object:
        if key in self._head:
            self._taken += 1
            found: object = self._head[key]
            return found
        if default is None:
            raise self._wrong(key, "there")
        return default

    def _wrong(self, key: str, wanted: str) -> Malformed:
        return Malformed(f"{self._what}: {key} must be {wanted}")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_DECODER: Final = json.JSONDecoder(parse_constant=_no_constant)
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
