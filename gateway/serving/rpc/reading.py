"""Reads a ModelInferRequest: its tensors as views on the bytes that came, the rest once for all its likes.

A client's requests differ in their ids and elements; what else they say (names, shapes,
parameters) is the same bytes each time. It is parsed and checked once and remembered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from gateway.errors import Malformed, NotSupported, TooLarge
from gateway.serving.call import Buffer, InputTensor, Parameter, Sequence, WantedOutput
from gateway.serving.datatypes import Datatype, check_bytes, check_size, datatype_named, element_count
from gateway.serving.rest.infer_request import MOST_TENSORS, read_priority, read_sequence
from gateway.serving.rest.infer_words import RegionPart
from gateway.serving.rest.json_fields import member_flag, member_text, member_whole
from gateway.serving.rpc import protocol, wire
from gateway.serving.rpc.typed_contents import bytes_of

_ID_FIELD: Final = 3
_RAW_FIELD: Final = 7
_REMEMBERED_BYTES: Final = 2048
_REMEMBERED: Final = 512
_EMPTY_FINAL: Final = "triton_enable_empty_final_response"
_MOST_UINT64: Final = 2**64 - 1
_MOST_CLASSES: Final = 2**31 - 1
_LONGEST_ID: Final = 1024


@dataclass(frozen=True, slots=True)
class PlacedInput:
    """An input that lies in shared memory."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    part: RegionPart


@dataclass(frozen=True, slots=True)
class RpcWords:
    """One request, read and not yet asked.

    Attributes:
        model: Name of a model or alias.
        version: Which version; empty for the one that the name leads to.
        id: Given back.
        inputs: In their order.
        outputs: What is wanted; empty for all.
        places: Where outputs go that go to shared memory, by name.
        timeout_us: Microseconds until the answer is worth nothing; 0 where the request does not say.
        sequence: Its place in a sequence; None for none.
        priority: 1 is first; 0 where the request does not say.
    """

    model: str
    version: str
    id: str
    inputs: tuple[InputTensor | PlacedInput, ...]
    outputs: tuple[WantedOutput, ...]
    places: Mapping[str, RegionPart]
    timeout_us: int
    sequence: Sequence | None
    priority: int = 0


@dataclass(frozen=True, slots=True)
class _Hole:
    """An input whose elements come as an entry of raw_input_contents."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    fixed_bytes: int
    tensor: str

    def filled(self, data: Buffer) -> InputTensor:
        if len(data) != self.fixed_bytes:
            check_bytes(self.datatype, self.shape, data, self.tensor)
        return InputTensor(self.name, self.datatype.name, self.shape, data)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a request says beside its id and its raw tensors.

    Attributes:
        inputs: What is known of each input; holes are filled by raw tensors.
        words: The request without its id and inputs.
    """

    inputs: tuple[InputTensor | PlacedInput | _Hole, ...]
    words: RpcWords


def read(data: bytes) -> RpcWords:
    """Return what a request says.

    Raises:
        RequestRefused: It does not say it well; the message names the tensor or parameter.
    """
    found = wire.split(data, _ID_FIELD, _RAW_FIELD)
    if found is None:
        message = protocol.parsed(_kind(), data)
        raws: list[Buffer] = list(message.raw_input_contents)
        return _whole(_plan_of(message, has_raws=bool(raws)), message.id, raws)
    rest, (ids, views) = found
    plan = (_remembered if len(rest) <= _REMEMBERED_BYTES else _planned)(rest, bool(views))
    return _whole(plan, _text(ids[-1]) if ids else "", views)


def id_of(data: bytes) -> str:
    """Return the id of a request that need not be sound; empty where there is none that can be said."""
    found = wire.split(data, _ID_FIELD)
    if found is None or not (ids := found[1][0]) or len(ids[-1]) > _LONGEST_ID:
        return ""
    return str(ids[-1], "utf-8", "replace")


def typed_bytes(data: bytes) -> int:
    """Return how many bytes of a request are none of its raw tensors."""
    found = wire.split(data, _RAW_FIELD)
    return len(data) if found is None else len(found[0])


def values_of(parameters: Mapping[str, Any], path: str) -> dict[str, Parameter]:
    """Return parameters as plain values.

    Raises:
        Malformed: One has no value, or a reserved name.
    """
    values: dict[str, Parameter] = {}
    for name, value in parameters.items():
        chosen = value.WhichOneof("parameter_choice")
        if chosen is None:
            raise Malformed(f"{path}: {name[:80]!a} has no value")
        if name.startswith("triton_") and name != _EMPTY_FINAL:
            raise Malformed(f"{path}: {name[:80]!a} is reserved")
        values[name] = getattr(value, chosen)
    return values


def _kind() -> Any:
    return protocol.message("inference.ModelInferRequest")


def _text(view: memoryview) -> str:
    try:
        return str(view, "utf-8")
    except UnicodeDecodeError:
        raise Malformed("the id is no UTF-8") from None


def _planned(rest: bytes, has_raws: bool) -> _Plan:
    return _plan_of(protocol.parsed(_kind(), rest), has_raws=has_raws)


_remembered = lru_cache(maxsize=_REMEMBERED)(_planned)


def _whole(plan: _Plan, request_id: str, raws: Iterable[Buffer]) -> RpcWords:
    if len(request_id) > _LONGEST_ID:
        raise TooLarge(f"the id has {len(request_id)} characters, at most {_LONGEST_ID} are taken")
    words, left = plan.words, iter(raws)
    inputs = tuple(_filled(each, left) if isinstance(each, _Hole) else each for each in plan.inputs)
    if next(left, None) is not None:
        holes = sum(isinstance(each, _Hole) for each in plan.inputs)
        raise Malformed(
            f"raw_input_contents has more entries than inputs that take one, of which there are {holes}"
        )
    return RpcWords(
        words.model,
        words.version,
        request_id,
        inputs,
        words.outputs,
        words.places,
        words.timeout_us,
        words.sequence,
        words.priority,
    )


def _filled(hole: _Hole, left: Iterator[Buffer]) -> InputTensor:
    data = next(left, None)
    if data is None:
        raise Malformed(f"{hole.tensor}: raw_input_contents has no entry left for it")
    return hole.filled(data)


def _plan_of(message: Any, *, has_raws: bool) -> _Plan:
    parameters = values_of(message.parameters, "parameters")
    priority = read_priority(parameters)
    member_flag(parameters, _EMPTY_FINAL, "parameters")
    timeout_us = member_whole(parameters, "timeout", "parameters", _MOST_UINT64) or 0
    if len(message.inputs) > MOST_TENSORS or len(message.outputs) > MOST_TENSORS:
        raise TooLarge(f"more than {MOST_TENSORS} inputs or outputs")
    outputs = [_output(each) for each in message.outputs]
    words = RpcWords(
        model=message.model_name,
        version=message.model_version,
        id="",
        inputs=(),
        outputs=tuple(wanted for wanted, _ in outputs),
        places={wanted.name: part for wanted, part in outputs if part is not None},
        timeout_us=timeout_us,
        sequence=read_sequence(parameters),
        priority=priority,
    )
    return _Plan(tuple(_input(each, message.model_name, has_raws=has_raws) for each in message.inputs), words)


def _input(found: Any, model: str, *, has_raws: bool) -> InputTensor | PlacedInput | _Hole:
    name: str = found.name
    tensor = f"input {name[:80]!a}"
    datatype = datatype_named(found.datatype, tensor)
    shape = tuple(found.shape)
    count = element_count(shape, tensor)
    region = _region(values_of(found.parameters, tensor), tensor)
    filled = found.HasField("contents") and bool(found.contents.ListFields())
    if region is not None:
        if filled:
            raise Malformed(f"{tensor} lies in shared memory and has contents too")
        if datatype.size:
            check_size(name, region.byte_size, count * datatype.size)
        return PlacedInput(name, datatype.name, shape, region)
    if not has_raws:
        return InputTensor(name, datatype.name, shape, bytes_of(found.contents, datatype, count, tensor))
    if filled:
        # In Triton's words, which its own examples look for.
        raise Malformed(
            "contents field must not be specified when using raw_input_contents "
            f"for {name[:80]!a} for model {model[:80]!a}"
        )
    # A length says everything of elements that may have any bits.
    return _Hole(name, datatype, shape, count * datatype.size if datatype.size else -1, tensor)


def _output(found: Any) -> tuple[WantedOutput, RegionPart | None]:
    name: str = found.name
    path = f"output {name[:80]!a}"
    parameters = values_of(found.parameters, path)
    classes = member_whole(parameters, "classification", path, _MOST_CLASSES) or 0
    region = _region(parameters, path)
    if classes and region is not None:
        raise NotSupported(f"{path}: classes do not go to shared memory")
    return WantedOutput(name, classes), region


def _region(parameters: Mapping[str, Parameter], path: str) -> RegionPart | None:
    name = member_text(parameters, "shared_memory_region", path)
    size = member_whole(parameters, "shared_memory_byte_size", path)
    offset = member_whole(parameters, "shared_memory_offset", path)
    if name is None:
        if size is not None or offset is not None:
            raise Malformed(f"{path}: shared_memory_region is missing")
        return None
    if size is None:
        raise Malformed(f"{path}: shared_memory_byte_size is missing")
    return RegionPart(name, offset or 0, size)
