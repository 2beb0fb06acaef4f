"""From the words of one inference to a call over shared memory, and from its reply to the client's memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.errors import Malformed, TooLarge
from gateway.operations.tracing import current_parent
from gateway.serving.call import InferCall, InferReply, InputTensor, WantedOutput
from gateway.serving.datatypes import Kind, check_bytes, datatype_named
from gateway.serving.shared_memory.door_words import ALIGN, Infer, Part, PlacedInput
from gateway.serving.shared_memory.names import no_region
from gateway.serving.shared_memory.sealed import SealedMemory

Regions = Mapping[str, SealedMemory]


@dataclass(frozen=True, slots=True)
class Times:
    """When a call came, and how long calls may take, in seconds; at which level they wait."""

    arrived_s: float
    usual_s: float
    longest_s: float
    level: int = 0


def call_of(word: Infer, inputs: tuple[InputTensor, ...], caller: str, times: Times) -> InferCall:
    """Return the call."""
    within_s = min(word.timeout_us / 1e6 or times.usual_s, times.longest_s)
    return InferCall(
        model=word.model,
        inputs=inputs,
        deadline_s=times.arrived_s + within_s,
        arrived_s=times.arrived_s,
        version=word.version,
        outputs=tuple(WantedOutput(each.name, each.classes) for each in word.outputs),
        id=word.id,
        sequence=word.sequence,
        caller=caller,
        trace=current_parent(),
        level=times.level,
    )


def inputs_of(word: Infer, regions: Regions) -> tuple[tuple[InputTensor, ...], bool]:
    """Return the inputs, and whether they are views: these hold the mapping for as long as they live.

    Raises:
        UnknownRegion: An input names no region of this client.
        RequestRefused: An input's elements are not what its datatype says.
    """
    inputs = tuple(_input(each, regions) for each in word.inputs)
    return inputs, all(isinstance(each.data, memoryview) for each in inputs)


def _input(placed: PlacedInput, regions: Regions) -> InputTensor:
    part = placed.part
    view = _known(part.region, regions).part(part.offset, part.byte_size)
    datatype = datatype_named(placed.datatype, f"input {placed.name}")
    if datatype.kind is not Kind.BYTES:
        return InputTensor(placed.name, placed.datatype, placed.shape, view)
    # What is looked into must not change after it was looked at.
    data = bytes(view)
    check_bytes(datatype, placed.shape, data, f"input {placed.name}")
    return InputTensor(placed.name, placed.datatype, placed.shape, data)


class Places:
    """Where the outputs of one call go; holds the regions until it is dropped."""

    def __init__(self, word: Infer, regions: Regions) -> None:
        """Find the places.

        Raises:
            UnknownRegion: A place lies in no region of this client, or cannot be written.
            Malformed: An output is wanted twice, or its place reaches out of its region.
        """
        self._own: dict[str, tuple[SealedMemory, Part]] = {}
        for output in word.outputs:
            if output.part is None:
                continue
            if output.name in self._own:
                raise Malformed(f"output {output.name!r} is wanted twice")
            self._own[output.name] = _place(output.part, regions)
        self._area = None if word.into is None else _place(word.into, regions)

    def put(self, reply: InferReply) -> list[Part]:
        """Copy the outputs into the client's memory; return where each of them lies.

        Raises:
            TooLarge: An output is longer than its place, or the area is too small for all.
            Malformed: There is an output that the call gave no place.
        """
        parts: list[Part] = []
        used = 0
        for output in reply.outputs:
            size = len(output.data)
            own = self._own.get(output.name)
            found = own or self._area
            if found is None:
                raise Malformed(f"the call has no place for output {output.name!r}")
            memory, place = found
            skipped = 0 if own else used
            if size > place.byte_size - skipped:
                what = f"output {output.name!r} has {size} bytes"
                raise TooLarge(
                    f"{what}; its place in region {memory.name!r} has {max(0, place.byte_size - skipped)}",
                    needed_bytes=skipped + size,
                )
            if not own:
                used += -(-size // ALIGN) * ALIGN
            memory.write(place.offset + skipped, output.data)
            parts.append(Part(memory.name, place.offset + skipped, size))
        return parts


def _place(part: Part, regions: Regions) -> tuple[SealedMemory, Part]:
    memory = _known(part.region, regions)
    memory.check_place(part.offset, part.byte_size)
    return memory, part


def _known(name: str, regions: Regions) -> SealedMemory:
    found = regions.get(name)
    if found is None:
        raise no_region(name)
    return found
