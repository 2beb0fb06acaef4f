"""From a call to a request that a worker can run: names, types, sizes and bytes are checked here. Pure.

Nothing is let into a batch that could hurt its mates: what is wrong with a call
is said before it is queued, with the tensor's name and what is expected.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from gateway.errors import Malformed, NotSupported, WrongDtype, WrongShape
from gateway.inference.model_shape import ModelShape
from gateway.inference.request import InferRequest, Payload
from gateway.inference.tensor_call import TENSORS, PlacedTensor, TensorLayout
from gateway.serving.call import InferCall, InputTensor
from gateway.tensor import TensorSpec, protocol_name

_ALIGN: Final = 64  # enough for any element type, wherever a tensor begins
_SEQUENCE_IDLE_S: Final = 3600.0
_ANEW: Final = -1.0


def tensor_request(call: InferCall, model: str, shape: ModelShape, max_rows: int) -> InferRequest:
    """Return the request of a call.

    Args:
        call: What was asked.
        model: Name of the model that answers, whatever name was asked for.
        shape: What the model takes and gives.
        max_rows: Most rows of one request, where axis 0 is rows.

    Raises:
        Malformed: A tensor is missing, unknown, given twice, or not as long as its shape says.
        WrongDtype: A tensor has another type than the model's.
        WrongShape: A tensor's sizes do not fit the model, or each other.
        NotSupported: A tensor's type is known and not taken here.
    """
    given = _by_name(call.inputs, call.model)
    specs = {spec.name: spec for spec in shape.inputs}
    _check_names(given, specs, shape, call.model)
    for name, tensor in given.items():
        _check(tensor, specs[name], stacks=shape.stacks)
    rows = _rows(given, max_rows) if shape.stacks else 0
    outputs = _outputs(call, shape)
    payload, placed = _laid_out([given[spec.name] for spec in shape.inputs if spec.name in given], specs)
    sequence = call.sequence if shape.carried else None
    return InferRequest(
        model=model,
        pipeline=TENSORS,
        stream=f"@sequence/{call.caller}/{sequence.id}" if sequence else f"@{call.caller}",
        payload=payload,
        declared=TensorLayout(placed, outputs, rows).to_json(),
        arrived_s=call.arrived_s,
        deadline_s=call.deadline_s,
        ordered=sequence is not None,
        reset_gap_s=_ANEW if sequence and sequence.start else _SEQUENCE_IDLE_S,
        rows=max(rows, 1),
        trace=call.trace,
        level=call.level,
    )


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
        raise Malformed(
            f"model {model} has no input {unknown[0][:100]!r}: it takes {', '.join(map(str, shape.inputs))}"
        )
    missing = [spec for spec in shape.inputs if spec.name not in given and spec.name not in shape.carried]
    if missing:
        raise Malformed(f"model {model}: input {missing[0]} is missing")


def _check(tensor: InputTensor, spec: TensorSpec, *, stacks: bool) -> None:
    expected = protocol_name(spec.dtype)
    if tensor.datatype != expected:
        if tensor.datatype in ("BYTES", "BF16"):
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
    needed = math.prod(tensor.shape) * np.dtype(spec.dtype).itemsize
    if len(tensor.data) != needed:
        words = f"{expected} of shape {list(tensor.shape)} takes {needed}"
        raise Malformed(f"input {spec.name} has {len(tensor.data)} bytes; {words}")


def _rows(given: Mapping[str, InputTensor], max_rows: int) -> int:
    counts = {tensor.shape[0] for tensor in given.values()}
    if len(counts) != 1:
        raise WrongShape(f"inputs have batches of different sizes: {', '.join(map(str, sorted(counts)))}")
    (rows,) = counts
    if not 1 <= rows <= max_rows:
        raise WrongShape(f"a batch of {rows} rows: one request may bring 1 to {max_rows}")
    return rows


def _outputs(call: InferCall, shape: ModelShape) -> tuple[str, ...]:
    known = {spec.name for spec in shape.outputs}
    names: list[str] = []
    for wanted in call.outputs:
        if wanted.name not in known:
            given = ", ".join(map(str, shape.outputs))
            raise Malformed(f"model {call.model} has no output {wanted.name[:100]!r}: it gives {given}")
        if wanted.name in names:
            raise Malformed(f"model {call.model}: output {wanted.name!r} is wanted twice")
        names.append(wanted.name)
    return tuple(names)


def _laid_out(
    tensors: Sequence[InputTensor], specs: Mapping[str, TensorSpec]
) -> tuple[Payload, tuple[PlacedTensor, ...]]:
    """Return one payload of all tensors; that of one alone is not copied."""
    placed: list[PlacedTensor] = []
    parts: list[bytes | memoryview] = []
    offset = 0
    for tensor in tensors:
        placed.append(PlacedTensor(tensor.name, specs[tensor.name].dtype, tensor.shape, offset))
        parts.append(tensor.data)
        room = -(-len(tensor.data) // _ALIGN) * _ALIGN
        if len(tensors) > 1:
            parts.append(bytes(room - len(tensor.data)))
        offset += room
    return (parts[0] if len(parts) == 1 else b"".join(parts)), tuple(placed)
