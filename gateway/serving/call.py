"""What every door asks of a model and gets back: named tensors as bytes, in the protocol's own words. Pure.

The words are the Open Inference Protocol's: datatypes are ``BOOL``, ``UINT8`` to
``UINT64``, ``INT8`` to ``INT64``, ``FP16``, ``FP32``, ``FP64`` and ``BYTES``; elements lie
row by row and little-endian; an element of ``BYTES`` is its length as uint32 and the bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

Buffer = bytes | memoryview
Parameter = bool | int | float | str


class InputTensor(NamedTuple):
    """One input of a call.

    Attributes:
        name: The model's own name of it.
        datatype: The protocol's name of its type.
        shape: Sizes, none negative; their product times the type's size is the length of ``data``.
        data: The elements. Read until the call is answered, not kept after.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Buffer


class WantedOutput(NamedTuple):
    """One output that is asked for.

    Attributes:
        name: The model's own name of it.
        classes: How many of the greatest elements, as ``BYTES`` of ``value:index[:label]``; 0 for the tensor.
    """

    name: str
    classes: int = 0


@dataclass(frozen=True, slots=True)
class Sequence:
    """A call's place among calls that carry a model's state on.

    Attributes:
        id: What the client calls the sequence; never empty.
        start: The state begins anew with this call.
        end: The state is forgotten after it.
    """

    id: str
    start: bool = False
    end: bool = False


class InferCall(NamedTuple):
    """One request for one inference, whatever door it came through.

    Attributes:
        model: Name of a model or of an alias.
        inputs: In the order in which they came.
        deadline_s: Absolute monotonic seconds; an answer or an error comes within milliseconds of it.
        arrived_s: When the request came, monotonic seconds.
        version: Which version; empty for the one that the name leads to.
        outputs: What is wanted, in this order; empty for all, in the model's order.
        id: The client's id of the request, given back.
        sequence: Its place in a sequence; None for a call that stands alone.
        caller: Who asks, such as ``token:ops`` or ``127.0.0.1``: shares are fair between callers, and an
            alias keeps to one target for each.
        trace: A W3C ``traceparent``; empty for none.
        level: Calls of a lower one run first; 0 for with the board's own frames.
    """

    model: str
    inputs: tuple[InputTensor, ...]
    deadline_s: float
    arrived_s: float
    version: str = ""
    outputs: tuple[WantedOutput, ...] = ()
    id: str = ""
    sequence: Sequence | None = None
    caller: str = ""
    trace: str = ""
    level: int = 0


class OutputTensor(NamedTuple):
    """One output of a reply; ``data`` as in ``InputTensor``, owned by whoever holds the reply."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Buffer


class InferReply(NamedTuple):
    """The answer to a call.

    Attributes:
        model: The name that was asked for.
        version: The version that ran.
        id: As in the call.
        outputs: As wanted.
        parameters: Further words about the answer.
    """

    model: str
    version: str
    id: str
    outputs: tuple[OutputTensor, ...]
    parameters: Mapping[str, Parameter] = MappingProxyType({})
