"""From a call to a request that a worker can run: names, types, sizes and bytes are checked here. Pure.

Nothing is let into a batch that could hurt its mates: what is wrong with a call
is said before it is queued, with the tensor's name and what is expected.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.errors import Malformed, NotSupported, WrongDtype, WrongShape
from gateway.inference.model_shape import ModelShape
from gateway.inference.request import InferRequest, Payload
from gateway.inference.tensor_call import TENSORS, PlacedTensor, TensorLayout
from gateway.serving.call import InferCall, InputTensor
from gateway.tensor import TEXT, TensorSpec, protocol_name

_ALIGN: Final = 64  # enough for any element type, wherever a tensor begins
_SEQUENCE_IDLE_S: Final = 3600.0
_ANEW: Final = -1.0
_TRUTHS: Final = bytes([0] + [1] * 255)
_MOST_PLANS: Final = 256


@dataclass(frozen=True, slots=True)
class Plan:
    """What was found of calls whose tensors have the same names, types, sizes and lengths.

    Attributes:
        order: The inputs' places in the call, in the model's order.
        padding: Bytes that follow each of them in the payload.
        declared: The payload's ``TensorLayout`` in JSON.
        rows: Rows of the model that they bring; 0 where axis 0 is not rows.
    """

    order: tuple[int, ...]
    padding: tuple[int, ...]
    declared: str
    rows: int


# By names, types, sizes and lengths of the inputs, and names of the wanted outputs.
PlanKey = tuple[tuple[tuple[str, str, tuple[int, ...], int], ...], tuple[str, ...]]
Plans = dict[PlanKey, Plan]


def tensor_request(
    call: InferCall, model: str, shape: ModelShape, max_rows: int, plans: Plans | None = None
) -> InferRequest:
    """Return the request of a call.

    Args:
        call: What was asked.
        model: Name of the model that answers, whatever name was asked for.
        shape: What the model takes and gives.
        max_rows: Most rows of one request, where axis 0 is rows.
        plans: What was found of this model's calls before, for this ``shape`` and ``max_rows``: clients
            ask the same way again and again. Added to; None to look anew.

    Raises:
        Malformed: A tensor is missing, unknown, given twice, or not as long as its shape says.
        WrongDtype: A tensor has another type than the model's.
        WrongShape: A tensor's sizes do not fit the model, or each other.
        NotSupported: A tensor's type is known and not taken here, or classes are asked of text.
    """
    key = (
        tuple([(each.name, each.datatype, each.shape, len(each.data)) for each in call.inputs]),
        tuple([each.name for each in call.outputs]),
    )
    plan = plans.get(key) if plans is not None else None
    if plan is None:
        plan = _plan(call, shape, max_rows)
        if plans is not None:
            if len(plans) >= _MOST_PLANS:
                plans.clear()
            plans[key] = plan
    sequence = call.sequence if shape.carried else None
    return InferRequest(
        model=model,
        pipeline=TENSORS,
        stream=f"@sequence/{call.caller}/{sequence.id}" if sequence else f"@{call.caller}",
        payload=_payload(call.inputs, plan),
        declared=plan.declared,
        arrived_s=call.arrived_s,
        deadline_s=call.deadline_s,
        ordered=sequence is not None,
        reset_gap_s=_ANEW if sequence and sequence.start else _SEQUENCE_IDLE_S,
        rows=max(plan.rows, 1),
        trace=call.trace,
        level=call.level,
    )


def _plan(call: InferCall, shape: ModelShape, max_rows: int) -> Plan:
    given = _by_name(call.inputs, call.model)
    specs = {spec.name: spec for spec in shape.inputs}
    _check_names(given, specs, shape, call.model)
    if shape.stacks:
        given = {name: _of_rows(tensor, specs[name]) for name, tensor in given.items()}
    for name, tensor in given.items():
        _check(tensor, specs[name], stacks=shape.stacks)
    rows = _rows(given, max_rows) if shape.stacks else 0
    outputs = _outputs(call, shape)
    at = {tensor.name: place for place, tensor in enumerate(call.inputs)}
    ordered = [given[spec.name] for spec in shape.inputs if spec.name in given]
    placed, padding = _placed(ordered, specs)
    declared = TensorLayout(placed, outputs, rows).to_json()
    return Plan(tuple(at[each.name] for each in ordered), padding, declared, rows)


def _payload(inputs: Sequence[InputTensor], plan: Plan) -> Payload:
    """Return one payload of all tensors; that of one alone is not copied."""
    if len(plan.order) == 1:
        return _data(inputs[plan.order[0]])
    parts: list[bytes | memoryview] = []
    for at, padding in zip(plan.order, plan.padding, strict=True):
        parts += (_data(inputs[at]), bytes(padding))
    return b"".join(parts)


def _data(tensor: InputTensor) -> Payload:
    # Any byte but zero is true, as in Triton; runtimes know but one of them.
    return bytes(tensor.data).translate(_TRUTHS) if tensor.datatype == "BOOL" else tensor.data


def _by_name(inputs: Sequence[InputTensor], model: str) -> dict[str, InputTensor]:
    given: dict[str, InputTensor] = {}
    for tensor in inputs:
        if tensor.name in given:
            raise Malformed(f"model {model}: input {tensor.name[:100]!r} is given twice")
        given[tensor.name] = tensor
    return given


def _check_names(
    given: Mapping[str, InputTensor], specs: Mapping[str, TensorSpec], shape: ModelShape, model: str
) -> None:
    unknown = [name for name in given if name not in specs]
    if unknown:
        takes = ", ".join(map(str, shape.inputs))
        raise Malformed(
            f"unexpected inference input {unknown[0][:100]!r} for model {model!r}, which takes {takes}"
        )
    needed = [spec for spec in shape.inputs if spec.name not in shape.carried]
    missing = [spec for spec in needed if spec.name not in given]
    if missing:
        least, most = len(needed), len(shape.inputs)
        count = f"{most} inputs" if least == most else f"number of inputs between {least} and {most}"
        lacked = _listed(spec.name for spec in missing)
        raise Malformed(
            f"expected {count} but got {len(given)} inputs for model {model!r}. "
            f"Got input(s) {_listed(given)}, but missing required input(s) {lacked}. "
            "Please provide all required input(s)."
        )


def _listed(names: Iterable[str]) -> str:
    """Return names as Triton lists them."""
    return f"[{','.join(repr(name[:100]) for name in names)}]"


def _check(tensor: InputTensor, spec: TensorSpec, *, stacks: bool) -> None:
    expected = protocol_name(spec.dtype)
    if tensor.datatype != expected:
        if tensor.datatype == "BF16":
            raise NotSupported(
                f"input {spec.name}: {tensor.datatype} is not taken; the model takes {expected}"
            )
        raise WrongDtype(f"input {spec.name} is {tensor.datatype[:20]}, the model takes {expected}")
    fits = len(tensor.shape) == len(spec.shape) and all(
        size == said or (said is None and size >= 0)
        for size, said in zip(tensor.shape, spec.shape, strict=True)
    )
    if not fits:
        sizes = ["-1" if said is None else str(said) for said in spec.shape]
        words = f"input {spec.name} has shape {list(tensor.shape)}, the model takes [{', '.join(sizes)}]"
        raise WrongShape(f"{words}{', -1 being the batch' if stacks else ''}")
    if spec.dtype == TEXT:
        return  # how long its elements are, each door has checked
    needed = math.prod(tensor.shape) * np.dtype(spec.dtype).itemsize
    if len(tensor.data) != needed:
        words = f"{expected} of shape {list(tensor.shape)} takes {needed}"
        raise Malformed(f"input {spec.name} has {len(tensor.data)} bytes; {words}")


def _of_rows(tensor: InputTensor, spec: TensorSpec) -> InputTensor:
    """Return a tensor of one element a row without the axis of 1 that a configuration gives it."""
    one = len(spec.shape) == 1 and len(tensor.shape) == 2 and tensor.shape[1] == 1
    return tensor._replace(shape=tensor.shape[:1]) if one else tensor


def _rows(given: Mapping[str, InputTensor], max_rows: int) -> int:
    counts = {tensor.shape[0] for tensor in given.values()}
    if len(counts) != 1:
        raise WrongShape(f"inputs have batches of different sizes: {', '.join(map(str, sorted(counts)))}")
    (rows,) = counts
    if not 1 <= rows <= max_rows:
        raise WrongShape(f"a batch of {rows} rows: one request may bring 1 to {max_rows}")
    return rows


def _outputs(call: InferCall, shape: ModelShape) -> tuple[str, ...]:
    known = {spec.name: spec.dtype for spec in shape.outputs}
    names: list[str] = []
    for wanted in call.outputs:
        if wanted.name not in known:
            given = ", ".join(map(str, shape.outputs))
            what = f"unexpected inference output {wanted.name[:100]!r} for model {call.model!r}"
            raise Malformed(f"{what}, which gives {given}")
        if wanted.classes and known[wanted.name] == TEXT:
            raise NotSupported(f"output {wanted.name} is text: there are no greatest elements to name")
        if wanted.name in names:
            raise Malformed(f"model {call.model}: output {wanted.name!r} is wanted twice")
        names.append(wanted.name)
    return tuple(names)


def _placed(
    tensors: Sequence[InputTensor], specs: Mapping[str, TensorSpec]
) -> tuple[tuple[PlacedTensor, ...], tuple[int, ...]]:
    """Return where tensors lie in a payload, and how many bytes follow each of them."""
    placed: list[PlacedTensor] = []
    padding: list[int] = []
    offset = 0
    for tensor in tensors:
        placed.append(PlacedTensor(tensor.name, specs[tensor.name].dtype, tensor.shape, offset))
        room = -(-len(tensor.data) // _ALIGN) * _ALIGN
        padding.append(room - len(tensor.data))
        offset += room
    return tuple(placed), tuple(padding)
