"""Reads a request for an inference: JSON, and behind it the bytes of binary tensors. Pure.

The codec of every door that speaks the protocol's JSON: it takes a body and the
length of its JSON, and knows nothing of HTTP. Binary tensors are views on the body.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from gateway.errors import Malformed, NotSupported, WrongShape
from gateway.inference.texts import join_bytes
from gateway.serving.call import Buffer, Sequence
from gateway.serving.datatypes import Datatype, Kind, check_bytes, check_size, datatype_named, element_count
from gateway.serving.model_view import ModelView, TensorView
from gateway.serving.rest.infer_words import InferWords, InputWords, OutputWords, RegionPart
from gateway.serving.rest.json_fields import (
    Members,
    member_flag,
    member_list,
    member_object,
    member_text,
    member_whole,
    needed_text,
    whole,
)
from gateway.serving.rest.json_numbers import elements_in
from gateway.serving.rest.json_reading import read_object

MOST_TENSORS: Final = 1024
# JSON up to here is remembered with what it said, 256 of them.
_MOST_KEPT: Final = 1024
_MOST_UINT64: Final = 2**64 - 1
_DIGITS: Final = re.compile(r"[0-9]{1,12}")
_PLAIN: Final = frozenset({bool, int, float, str, type(None)})
_REGION_KEYS: Final = ("shared_memory_region", "shared_memory_byte_size", "shared_memory_offset")


def header_length(text: str) -> int:
    """Return the number that the header ``Inference-Header-Content-Length`` says.

    Raises:
        Malformed: It is none.
    """
    if not _DIGITS.fullmatch(text):
        raise Malformed(f"Inference-Header-Content-Length needs a number of bytes, not {text[:40]!a}")
    return int(text)


def read_request(body: Buffer, json_bytes: int | None, max_depth: int) -> InferWords:
    """Return what a request says.

    Args:
        body: The whole of it; read for as long as the words are kept.
        json_bytes: How many of its first bytes are JSON; None for all.
        max_depth: Deepest nesting of JSON.

    Raises:
        RequestRefused: It does not say it well; the message names the member or the tensor.
    """
    view = memoryview(body)
    length = len(view) if json_bytes is None else json_bytes
    if length > len(view):
        raise Malformed(f"inference header size should be in range (0, {len(view)}), got: {length}")
    if length <= _MOST_KEPT:
        inputs, words = _kept(bytes(view[:length]), max_depth)
    else:
        inputs, words = _read(view[:length], max_depth)
    if not words.inputs or len(view) > length:
        return words._replace(inputs=_bound(inputs, view[length:]))
    return words


@lru_cache(maxsize=256)
def _kept(head: bytes, max_depth: int) -> tuple[tuple[_Said, ...], InferWords]:
    """Read JSON, or remember what it said: requests of one client differ in their tensors alone."""
    return _read(head, max_depth)


def _read(head: Buffer, max_depth: int) -> tuple[tuple[_Said, ...], InferWords]:
    """Return the inputs that JSON names, and everything else; with them, if none lies behind the JSON."""
    members = read_object(head, max_depth)
    if members.get("inputs") is None:
        raise Malformed("inputs is missing")
    parameters = member_object(members, "parameters", "")
    check_parameters(parameters, "parameters")
    outputs = member_list(members, "outputs", "", MOST_TENSORS)
    found = member_list(members, "inputs", "", MOST_TENSORS)
    inputs = tuple(_input(each, f"inputs[{at}]") for at, each in enumerate(found))
    known = tuple(each for each in inputs if isinstance(each, InputWords))
    words = InferWords(
        inputs=known if len(known) == len(inputs) else (),
        outputs=tuple(_output(each, f"outputs[{at}]") for at, each in enumerate(outputs)),
        id=member_text(members, "id", "") or "",
        binary_outputs=member_flag(parameters, "binary_data_output", "parameters") or False,
        timeout_us=member_whole(parameters, "timeout", "parameters") or 0,
        sequence=read_sequence(parameters),
        priority=read_priority(parameters),
    )
    return inputs, words


def read_raw(body: Buffer, view: ModelView) -> InferWords:
    """Return the request whose whole body is the one input of a model; its outputs come as bytes.

    Raises:
        Malformed: The model takes several inputs, or the body does not fill whole elements of its shape.
        NotSupported: The input's shape has more than one axis of any size beside the batch's.
    """
    needed = [each for each in view.inputs if not each.optional]
    if len(needed) != 1:
        raise Malformed(f"a raw binary request needs a model of one input; {view.name} takes {len(needed)}")
    (tensor,) = needed
    name = f"input {tensor.name}"
    datatype = datatype_named(tensor.datatype, name)
    if datatype.kind is Kind.BYTES:
        shape = tuple(max(size, 1) for size in tensor.shape)
        if element_count(shape, name) != 1:
            raise NotSupported(f"{name}: a raw binary request holds one element of BYTES")
        return InferWords(
            (InputWords(tensor.name, tensor.datatype, shape, join_bytes([body])),), (), "", True
        )
    shape = _raw_shape(tensor, len(body), datatype.size, batched=view.max_batch_rows > 0)
    check_bytes(datatype, shape, body, name)
    return InferWords((InputWords(tensor.name, tensor.datatype, shape, body),), (), "", True)


def _raw_shape(tensor: TensorView, length: int, size: int, *, batched: bool) -> tuple[int, ...]:
    shape = (1, *tensor.shape[1:]) if batched and tensor.shape else tensor.shape
    if shape.count(-1) > 1:
        raise NotSupported(
            f"input {tensor.name}: a raw binary request leaves one axis open, not {list(shape)}"
        )
    if -1 not in shape:
        return shape
    step = size * element_count([each for each in shape if each != -1], tensor.name)
    open_size, rest = divmod(length, step) if step else (0, length)
    if rest:
        raise Malformed(f"input {tensor.name}: {length} bytes do not fill a shape of {list(shape)}")
    return tuple(open_size if each == -1 else each for each in shape)


def read_sequence(parameters: Members) -> Sequence | None:
    """Return the place in a sequence that parameters say; None for none.

    Raises:
        Malformed: They do not say it well.
    """
    start = member_flag(parameters, "sequence_start", "parameters") or False
    end = member_flag(parameters, "sequence_end", "parameters") or False
    found = parameters.get("sequence_id")
    if isinstance(found, str):
        name = member_text(parameters, "sequence_id", "parameters", 128) or ""
    else:
        number = member_whole(parameters, "sequence_id", "parameters", _MOST_UINT64)
        name = str(number) if number else ""
    if not name:
        if start or end:
            raise Malformed("parameters: sequence_start and sequence_end need a sequence_id")
        return None
    return Sequence(name, start, end)


def read_priority(parameters: Members) -> int:
    """Return the priority that parameters say: 1 is first; 0 for none.

    Raises:
        Malformed: They do not say it well.
    """
    return member_whole(parameters, "priority", "parameters", _MOST_UINT64) or 0


def check_parameters(parameters: Members, path: str) -> None:
    """Refuse reserved names, and values that no parameter has; what nobody knows is passed over.

    Raises:
        Malformed: There is one.
    """
    for name, value in parameters.items():
        if name.startswith("triton_"):
            raise Malformed(f"{path}: {name[:80]!a} is reserved")
        if type(value) not in _PLAIN:
            raise Malformed(f"{path}.{name[:80]} needs true, false, a number or text")


@dataclass(frozen=True, slots=True)
class _Behind:
    """An input whose elements lie behind the JSON."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    byte_size: int


_Said = InputWords | _Behind


def _bound(inputs: tuple[_Said, ...], rest: memoryview) -> tuple[InputWords, ...]:
    """Return inputs with their elements, which fill the rest of the body."""
    bound: list[InputWords] = []
    at = 0
    for each in inputs:
        if isinstance(each, InputWords):
            bound.append(each)
            continue
        data = rest[at : at + each.byte_size]
        at += each.byte_size
        if at > len(rest):
            missing = f"expecting {at - len(rest)} additional bytes"
            raise Malformed(f"unexpected size for input '{each.name[:80]}', {missing}")
        if each.datatype.kind is Kind.BYTES:
            check_bytes(each.datatype, each.shape, data, f"input {each.name[:80]}")
        bound.append(InputWords(each.name, each.datatype.name, each.shape, data))
    if at < len(rest):
        raise Malformed(f"unexpected additional input data: {len(rest) - at} bytes behind the last tensor")
    return tuple(bound)


def _input(found: object, path: str) -> _Said:
    if not isinstance(found, dict):
        raise Malformed(f"{path} needs an object")
    name = needed_text(found, "name", path)
    words = f"input {name[:80]}"
    datatype = datatype_named(needed_text(found, "datatype", path), words)
    shape = _shape(found, path)
    count = element_count(shape, words)
    parameters = member_object(found, "parameters", path)
    check_parameters(parameters, f"{path}.parameters")
    binary = member_whole(parameters, "binary_data_size", f"{path}.parameters")
    region = _region(parameters, f"{path}.parameters")
    data = found.get("data")
    ways = (data is not None) + (binary is not None) + (region is not None)
    if ways != 1:
        raise Malformed(
            f"{words} needs exactly one of data, binary_data_size and shared_memory_region, it has {ways}"
        )
    if data is not None:
        return InputWords(name, datatype.name, shape, elements_in(data, datatype, shape, words))
    size = region.byte_size if region is not None else binary or 0
    if datatype.size:
        check_size(name, size, datatype.size * count)
    if region is not None:
        return InputWords(name, datatype.name, shape, region)
    return _Behind(name, datatype, shape, size)


def _shape(found: Members, path: str) -> tuple[int, ...]:
    if "shape" not in found:
        raise Malformed(f"{path}.shape is missing")
    sizes = found["shape"]
    if not isinstance(sizes, list):
        raise Malformed(f"{path}.shape needs an array")
    shape = tuple([each for each in map(whole, sizes) if each is not None])
    if len(shape) != len(sizes):
        raise WrongShape(f"{path}.shape needs whole numbers")
    return shape


def _region(parameters: Members, path: str) -> RegionPart | None:
    if not parameters or parameters.keys().isdisjoint(_REGION_KEYS):
        return None
    if all(parameters.get(key) is None for key in _REGION_KEYS):
        return None
    name = member_text(parameters, _REGION_KEYS[0], path)
    if name is None:
        raise Malformed(f"{path}: {_REGION_KEYS[0]} is missing")
    size = member_whole(parameters, _REGION_KEYS[1], path, _MOST_UINT64)
    if size is None:
        raise Malformed(f"{path}.{_REGION_KEYS[1]} is missing")
    return RegionPart(name, member_whole(parameters, _REGION_KEYS[2], path, _MOST_UINT64) or 0, size)


def _output(found: object, path: str) -> OutputWords:
    if not isinstance(found, dict):
        raise Malformed(f"{path} needs an object")
    parameters = member_object(found, "parameters", path)
    check_parameters(parameters, f"{path}.parameters")
    region = _region(parameters, f"{path}.parameters")
    binary = member_flag(parameters, "binary_data", f"{path}.parameters")
    if region is not None and binary:
        raise Malformed(f"{path}: an output in shared memory is not sent as bytes too")
    return OutputWords(
        name=needed_text(found, "name", path),
        classes=member_whole(parameters, "classification", f"{path}.parameters", 2**31 - 1) or 0,
        binary=binary,
        region=region,
    )
