"""From a request's words to a call: shared memory is looked up, and its time is reckoned.

The one step of the codec that is not pure: it reads regions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.configuration.serving_settings import PrioritySettings
from gateway.errors import NotSupported
from gateway.serving.call import Buffer, InferCall, InputTensor, WantedOutput
from gateway.serving.datatypes import check_bytes, datatype_named
from gateway.serving.priorities import level_of
from gateway.serving.regions import Place, Regions
from gateway.serving.rest.infer_words import InferWords, InputWords, RegionPart


@dataclass(frozen=True, slots=True)
class Timing:
    """How long requests may take, and which go first.

    Attributes:
        timeout_s: The time of one that names none.
        max_timeout_s: Longest time that one may name; more counts as this.
        priority: What they may name as priority.
    """

    timeout_s: float
    max_timeout_s: float
    priority: PrioritySettings = field(default_factory=PrioritySettings)

    def deadline_s(self, arrived_s: float, timeout_us: int) -> float:
        """Return the deadline of a request that names ``timeout_us`` microseconds, or 0 for none."""
        wanted_s = timeout_us / 1e6 if timeout_us else self.timeout_s
        return arrived_s + min(wanted_s, self.max_timeout_s)


class Asked(NamedTuple):
    """What a door knows of a request beside its words.

    Attributes:
        model: Name of a model or alias.
        version: Which version; empty for the one that the name leads to.
        arrived_s: When it came, monotonic seconds.
        caller: Who asks.
        trace: A W3C ``traceparent``; empty for none.
    """

    model: str
    version: str
    arrived_s: float
    caller: str
    trace: str = ""


def to_call(words: InferWords, asked: Asked, timing: Timing, regions: Regions | None) -> InferCall:
    """Return the call that a request means.

    Whoever takes it asks for ``places_of`` its outputs too, before the call runs.

    Args:
        words: The request.
        asked: Who asks whom, and when.
        timing: How long it may take.
        regions: Shared memory; None where there is none.

    Raises:
        NotSupported: A tensor lies in shared memory, or should, and there is none.
        UnknownRegion: There is no such region.
        Malformed: A part does not lie in its region, or its bytes are not what the tensor's shape says.
    """
    if regions is None and words.uses_regions:
        raise NotSupported("there is no shared memory over this door: send tensors in the request")
    return InferCall(
        model=asked.model,
        inputs=tuple(
            InputTensor(each.name, each.datatype, each.shape, _data(each, regions)) for each in words.inputs
        ),
        deadline_s=timing.deadline_s(asked.arrived_s, words.timeout_us),
        arrived_s=asked.arrived_s,
        version=asked.version,
        outputs=tuple(WantedOutput(each.name, each.classes) for each in words.outputs),
        id=words.id,
        sequence=words.sequence,
        caller=asked.caller,
        trace=asked.trace,
        level=level_of(words.priority, timing.priority, in_sequence=words.sequence is not None),
    )


def places_of(words: InferWords, regions: Regions | None) -> dict[str, Place]:
    """Return where outputs in shared memory go, by their names.

    Raises:
        UnknownRegion: There is no such region.
        Malformed: The part does not lie in it.
    """
    if regions is None:
        return {}
    return {
        each.name: regions.place(each.region.region, each.region.offset, each.region.byte_size)
        for each in words.outputs
        if each.region is not None
    }


def _data(words: InputWords, regions: Regions | None) -> Buffer:
    if not isinstance(words.data, RegionPart):
        return words.data
    part = words.data
    assert regions is not None, "to_call refused it"
    data = regions.read(part.region, part.offset, part.byte_size)
    tensor = f"input {words.name[:80]}"
    check_bytes(datatype_named(words.datatype, tensor), words.shape, data, tensor)
    return data
