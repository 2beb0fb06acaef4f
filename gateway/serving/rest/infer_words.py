"""What a request for an inference says, once it is read and before it is asked. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gateway.serving.call import Buffer, Sequence


@dataclass(frozen=True, slots=True)
class RegionPart:
    """A part of a shared memory region.

    Attributes:
        region: What the client calls it.
        offset: Where the part begins, in bytes.
        byte_size: How long it is.
    """

    region: str
    offset: int
    byte_size: int


class InputWords(NamedTuple):
    """One input; ``data`` is not written to, or says where else the elements lie."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Buffer | RegionPart


class OutputWords(NamedTuple):
    """One output that is asked for.

    Attributes:
        name: The model's own name of it.
        classes: How many of the greatest elements; 0 for the tensor.
        binary: Whether it comes after the JSON, as bytes; None for what the request says of all.
        region: Where it is written to instead; None for into the answer.
    """

    name: str
    classes: int = 0
    binary: bool | None = None
    region: RegionPart | None = None


class InferWords(NamedTuple):
    """One request.

    Attributes:
        inputs: In their order.
        outputs: What is wanted; empty for all.
        id: Given back.
        binary_outputs: Whether outputs that do not say it come as bytes.
        timeout_us: Microseconds until the answer is worth nothing; 0 where the request does not say.
        sequence: Its place in a sequence; None for none.
        priority: 1 is first; 0 where the request does not say.
    """

    inputs: tuple[InputWords, ...]
    outputs: tuple[OutputWords, ...] = ()
    id: str = ""
    binary_outputs: bool = False
    timeout_us: int = 0
    sequence: Sequence | None = None
    priority: int = 0

    @property
    def uses_regions(self) -> bool:
        """Whether any tensor lies in shared memory."""
        lies = any(isinstance(each.data, RegionPart) for each in self.inputs)
        return lies or any(each.region is not None for each in self.outputs)
