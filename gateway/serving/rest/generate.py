"""The generate extension: names and plain values instead of tensors, both ways. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from gateway.errors import Malformed, WrongShape
from gateway.serving.call import InferReply
from gateway.serving.datatypes import datatype_named
from gateway.serving.model_view import ModelView, TensorView
from gateway.serving.rest.infer_request import check_parameters, read_priority, read_sequence
from gateway.serving.rest.infer_response import NOT_FINITE
from gateway.serving.rest.infer_words import InferWords, InputWords
from gateway.serving.rest.json_fields import member_object, member_text, member_whole
from gateway.serving.rest.json_numbers import elements_in, elements_out
from gateway.tensor import Array

_PARAMETERS: Final = "parameters"


def generate_words(members: Mapping[str, object], view: ModelView) -> InferWords:
    """Return the request that plain members mean.

    A member of an input's name is that input: a value, or an array, flat or nested. ``id`` is the
    request's; every other one is a parameter. Members of ``parameters`` are read as those beside it.

    Raises:
        RequestRefused: A value does not fit its input, or a parameter is wrong.
    """
    inputs = {tensor.name: tensor for tensor in view.inputs}
    extra = {
        name: value
        for name, value in members.items()
        if name not in inputs and name not in {"id", _PARAMETERS}
    }
    named = member_object(members, _PARAMETERS, "") if _PARAMETERS not in inputs else {}
    twice = members.keys() & named.keys()
    if twice:
        raise Malformed(f"{min(twice)[:80]!a} stands twice: in {_PARAMETERS} and beside it")
    given = {**members, **named}
    parameters = {name: value for name, value in {**extra, **named}.items() if name not in inputs}
    check_parameters(parameters, _PARAMETERS)
    return InferWords(
        inputs=tuple(_input(given[name], tensor) for name, tensor in inputs.items() if name in given),
        id="" if "id" in inputs else member_text(members, "id", "") or "",
        timeout_us=member_whole(parameters, "timeout", _PARAMETERS) or 0,
        sequence=read_sequence(parameters),
        priority=read_priority(parameters),
    )


def generated(reply: InferReply) -> dict[str, Any]:
    """Return an answer as plain members: an output of one element is a value, others are flat arrays.

    NaN and infinities are null, as in other answers, and ``not_finite_outputs`` names the outputs.

    Raises:
        NotSupported: An output cannot be said in JSON.
    """
    said: dict[str, Any] = {"model_name": reply.model, "model_version": reply.version}
    if reply.id:
        said["id"] = reply.id
    said |= reply.parameters
    not_finite: list[str] = []
    for output in reply.outputs:
        name = f"output {output.name}"
        elements, has_others = elements_out(output.data, datatype_named(output.datatype, name), name)
        if has_others:
            not_finite.append(output.name)
        said[output.name] = _alone(elements) if len(elements) == 1 else elements
    if not_finite:
        said[NOT_FINITE] = ",".join(not_finite)
    return said


def _alone(elements: Array | list[Any]) -> object:
    return elements[0] if isinstance(elements, list) else elements[0].item()


def _input(value: object, tensor: TensorView) -> InputWords:
    name = f"input {tensor.name}"
    datatype = datatype_named(tensor.datatype, name)
    data = value if isinstance(value, list) else [value]
    nested = _sizes(data)
    shape = nested if _fits(nested, tensor.shape) else _filled(tensor, int(np.prod(nested)))
    if shape is not nested and len(nested) > 1:
        raise WrongShape(f"{name}: an array of {list(nested)} does not fit shape {list(tensor.shape)}")
    return InputWords(tensor.name, tensor.datatype, shape, elements_in(data, datatype, shape, name))


def _sizes(data: list[Any]) -> tuple[int, ...]:
    sizes: list[int] = []
    level: object = data
    while isinstance(level, list):
        sizes.append(len(level))
        level = level[0] if level else None
    return tuple(sizes)


def _fits(sizes: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    return len(sizes) == len(shape) and all(
        wanted in (-1, size) for size, wanted in zip(sizes, shape, strict=True)
    )


def _filled(tensor: TensorView, count: int) -> tuple[int, ...]:
    """Return the shape that so many elements have: the last open axis takes them, others are of one."""
    at = max((axis for axis, size in enumerate(tensor.shape) if size == -1), default=None)
    fixed = int(np.prod([size for size in tensor.shape if size != -1]))
    if at is None:
        fits, room = fixed == count, 0
    else:
        room, rest = divmod(count, fixed) if fixed else (0, count)
        fits = not rest
    if not fits:
        raise WrongShape(f"input {tensor.name}: {count} elements do not fill shape {list(tensor.shape)}")
    sizes = (1 if size == -1 else size for size in tensor.shape)
    return tuple(room if axis == at else size for axis, size in enumerate(sizes))
