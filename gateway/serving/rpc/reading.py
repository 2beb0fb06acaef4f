"""Reads a ModelInferRequest: tensors as views on the bytes that came, parameters checked. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.errors import Malformed, NotSupported, TooLarge
from gateway.serving.call import Buffer, Parameter, Sequence
from gateway.serving.datatypes import check_bytes, datatype_named, element_count
from gateway.serving.rest.infer_request import MOST_TENSORS, read_sequence
from gateway.serving.rest.infer_words import InputWords, OutputWords, RegionPart
from gateway.serving.rest.json_fields import member_flag, member_text, member_whole
from gateway.serving.rpc import protocol, wire
from gateway.serving.rpc.typed_contents import bytes_of

_RAW_FIELD: Final = 7
# Below this a copy costs less than looking for what need not be copied.
_WORTH_SPLITTING_BYTES: Final = 8192
_EMPTY_FINAL: Final = "triton_enable_empty_final_response"
_MOST_UINT64: Final = 2**64 - 1
_MOST_CLASSES: Final = 2**31 - 1
_LONGEST_ID: Final = 1024


@dataclass(frozen=True, slots=True)
class RpcWords:
    """One request, read and not yet asked.

    Attributes:
        model: Name of a model or alias.
        version: Which version; empty for the one that the name leads to.
        id: Given back.
        inputs: In their order; data may lie in shared memory.
        outputs: What is wanted; empty for all.
        timeout_us: Microseconds until the answer is worth nothing; 0 where the request does not say.
        sequence: Its place in a sequence; None for none.
    """

    model: str
    version: str
    id: str
    inputs: tuple[InputWords, ...]
    outputs: tuple[OutputWords, ...]
    timeout_us: int
    sequence: Sequence | None

    @property
    def uses_regions(self) -> bool:
        """Whether any tensor lies in shared memory."""
        lies = any(isinstance(each.data, RegionPart) for each in self.inputs)
        return lies or any(each.region is not None for each in self.outputs)


def parsed(data: bytes) -> tuple[Any, list[Buffer]]:
    """Return a request's message, and its raw tensors; views on ``data`` where they are long.

    Raises:
        Malformed: The bytes are no request.
    """
    kind = protocol.message("inference.ModelInferRequest")
    found = wire.split(data, _RAW_FIELD) if len(data) >= _WORTH_SPLITTING_BYTES else None
    if found is None:
        message = protocol.parsed(kind, data)
        return message, list(message.raw_input_contents)
    rest, raws = found
    return protocol.parsed(kind, rest), list[Buffer](raws)


def typed_bytes(data: bytes) -> int:
    """Return how many bytes of a request are none of its raw tensors."""
    found = wire.split(data, _RAW_FIELD)
    return len(data) if found is None else len(found[0])


def read(data: bytes) -> RpcWords:
    """Return what a request says.

    Raises:
        RequestRefused: It does not say it well; the message names the tensor or parameter.
    """
    message, raws = parsed(data)
    parameters = values_of(message.parameters, "parameters")
    timeout_us, sequence = (0, None) if not parameters else _reserved(parameters)
    if len(message.id) > _LONGEST_ID:
        raise TooLarge(f"the id has {len(message.id)} characters, at most {_LONGEST_ID} are taken")
    return RpcWords(
        model=message.model_name,
        version=message.model_version,
        id=message.id,
        inputs=_inputs(message.inputs, raws),
        outputs=tuple(_output(each) for each in message.outputs),
        timeout_us=timeout_us,
        sequence=sequence,
    )


def values_of(parameters: Mapping[str, Any], path: str) -> dict[str, Parameter]:
    """Return parameters as plain values.

    Raises:
        Malformed: One has no value, or a reserved name.
    """
    if not parameters:
        return {}
    values: dict[str, Parameter] = {}
    for name, value in parameters.items():
        chosen = value.WhichOneof("parameter_choice")
        if chosen is None:
            raise Malformed(f"{path}: {name[:80]!a} has no value")
        if name.startswith("triton_") and name != _EMPTY_FINAL:
            raise Malformed(f"{path}: {name[:80]!a} is reserved")
        values[name] = getattr(value, chosen)
    return values


def _reserved(parameters: Mapping[str, Parameter]) -> tuple[int, Sequence | None]:
    """Return what the parameters mean that every door knows; what nobody knows is passed over."""
    member_whole(parameters, "priority", "parameters", _MOST_UINT64)
    member_flag(parameters, _EMPTY_FINAL, "parameters")
    timeout_us = member_whole(parameters, "timeout", "parameters", _MOST_UINT64) or 0
    return timeout_us, read_sequence(parameters)


def _inputs(found: Iterable[Any], raws: list[Buffer]) -> tuple[InputWords, ...]:
    tensors = list(found)
    if len(tensors) > MOST_TENSORS:
        raise TooLarge(f"{len(tensors)} inputs, at most {MOST_TENSORS} are taken")
    left = iter(raws)
    inputs = tuple(_input(each, left, has_raws=bool(raws)) for each in tensors)
    if next(left, None) is not None:
        placed = sum(not isinstance(each.data, RegionPart) for each in inputs)
        raise Malformed(f"raw_input_contents has {len(raws)} entries; {placed} inputs take one each")
    return inputs


def _input(found: Any, left: Iterable[Buffer], *, has_raws: bool) -> InputWords:
    name: str = found.name
    tensor = f"input {name[:80]!a}"
    datatype = datatype_named(found.datatype, tensor)
    shape = tuple(found.shape)
    region = _region(values_of(found.parameters, tensor), tensor) if found.parameters else None
    filled = found.HasField("contents") and bool(found.contents.ListFields())
    if region is not None:
        if filled:
            raise Malformed(f"{tensor} lies in shared memory and has contents too")
        count = element_count(shape, tensor)
        if datatype.size and region.byte_size != count * datatype.size:
            takes = f"{datatype.name} of shape {list(shape)} takes {count * datatype.size}"
            raise Malformed(f"{tensor}: shared_memory_byte_size is {region.byte_size}; {takes}")
        return InputWords(name, datatype.name, shape, region)
    if not has_raws:
        count = element_count(shape, tensor)
        return InputWords(name, datatype.name, shape, bytes_of(found.contents, datatype, count, tensor))
    if filled:
        raise Malformed(f"{tensor} has contents, and raw_input_contents are there too; send one of the two")
    data = next(iter(left), None)
    if data is None:
        raise Malformed(f"{tensor}: raw_input_contents has no entry left for it")
    check_bytes(datatype, shape, data, tensor)
    return InputWords(name, datatype.name, shape, data)


def _output(found: Any) -> OutputWords:
    name: str = found.name
    if not found.parameters:
        return OutputWords(name)
    path = f"output {name[:80]!a}"
    parameters = values_of(found.parameters, path)
    classes = member_whole(parameters, "classification", path, _MOST_CLASSES) or 0
    region = _region(parameters, path)
    if classes and region is not None:
        raise NotSupported(f"{path}: classes do not go to shared memory")
    return OutputWords(name, classes, None, region)


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
