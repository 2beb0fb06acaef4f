"""From the bytes of a request to the models and back: what one call and one request of a stream share."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from gateway.operations.tracing import current_parent
from gateway.serving.access.caller import Caller
from gateway.serving.call import InferCall, InferReply, InputTensor
from gateway.serving.datatypes import check_bytes, datatype_named
from gateway.serving.model_view import Models
from gateway.serving.priorities import level_of
from gateway.serving.regions import Place, Regions
from gateway.serving.rest.infer_call import Timing
from gateway.serving.rpc import reading
from gateway.serving.rpc.reading import PlacedInput, RpcWords
from gateway.serving.shared_memory.local_regions import NoRegions

# Lists of numbers this long take so long to read that the event loop must not wait for it.
_LONG_BYTES: Final = 262_144
# Larger answers count as under way until their client has taken them; of smaller ones that would cost more.
LARGE_BYTES: Final = 16_384
_REMOTE: Final = NoRegions()


@dataclass(frozen=True, slots=True)
class Arrival:
    """When a request came and how long its caller waits.

    Attributes:
        arrived_s: Monotonic seconds.
        remaining_s: Seconds until gRPC's own deadline of the call; None for none.
        on_stream: The call is a stream: its deadline bounds that of its requests and is not theirs.
    """

    arrived_s: float
    remaining_s: float | None
    on_stream: bool = False


async def words_of_request(data: bytes) -> RpcWords:
    """Return what a request says; long lists of numbers are read in a thread.

    Raises:
        RequestRefused: It does not say it well.
    """
    if len(data) < _LONG_BYTES or reading.typed_bytes(data) < _LONG_BYTES:
        return reading.read(data)
    return await asyncio.to_thread(reading.read, data)


class Asking:
    """Asks the models on behalf of callers."""

    def __init__(self, models: Models, regions: Regions, timing: Timing) -> None:
        """Prepare.

        Args:
            models: Who answers.
            regions: Memory that programs of this machine share.
            timing: How long requests may take.
        """
        self._models = models
        self._regions = regions
        self._timing = timing

    def regions_for(self, caller: Caller) -> Regions:
        """Return the regions of a caller: none for one of another machine."""
        return self._regions if caller.is_local else _REMOTE

    async def answer(
        self, words: RpcWords, caller: Caller, arrival: Arrival
    ) -> tuple[InferReply, dict[str, Place]]:
        """Answer a request; outputs that go to shared memory are written there, and named beside the reply.

        Raises:
            GatewayError: As ``Models.infer``, and what is wrong with the memory.

        Cancel-safe: as ``Models.infer``.
        """
        regions = self.regions_for(caller)
        call = self._call(words, caller, arrival, regions)
        places = {
            name: regions.place(part.region, part.offset, part.byte_size)
            for name, part in words.places.items()
        }
        reply = await self._models.infer(call)
        for output in reply.outputs if places else ():
            if output.name in places:
                places[output.name].write(output.data)
        return reply, places

    def deadline_s(self, timeout_us: int, arrival: Arrival) -> float:
        """Return until when a request must be answered, monotonic seconds."""
        remaining_s = arrival.remaining_s
        if remaining_s is None:
            return self._timing.deadline_s(arrival.arrived_s, timeout_us)
        named_s = self._timing.max_timeout_s
        if timeout_us or arrival.on_stream:
            named_s = self._timing.deadline_s(0.0, timeout_us)
        return arrival.arrived_s + max(0.0, min(named_s, remaining_s, self._timing.max_timeout_s))

    def _call(self, words: RpcWords, caller: Caller, arrival: Arrival, regions: Regions) -> InferCall:
        return InferCall(
            model=words.model,
            inputs=tuple(
                _fetched(each, regions) if isinstance(each, PlacedInput) else each for each in words.inputs
            ),
            deadline_s=self.deadline_s(words.timeout_us, arrival),
            arrived_s=arrival.arrived_s,
            version=words.version,
            outputs=words.outputs,
            id=words.id,
            sequence=words.sequence,
            caller=caller.name,
            trace=current_parent(),
            level=level_of(words.priority, self._timing.priority, in_sequence=words.sequence is not None),
        )


def now_s() -> float:
    """Return monotonic seconds."""
    return time.monotonic()


def _fetched(words: PlacedInput, regions: Regions) -> InputTensor:
    part = words.part
    data = regions.read(part.region, part.offset, part.byte_size)
    tensor = f"input {words.name[:80]!a}"
    check_bytes(datatype_named(words.datatype, tensor), words.shape, data, tensor)
    return InputTensor(words.name, words.datatype, words.shape, data)
