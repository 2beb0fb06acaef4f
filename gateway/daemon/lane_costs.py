"""What another lane of each model costs, measured on the lanes that there are.

A lane that came of another by dividing shows it best: what it has for itself is
what one more would take, and what comes back when it goes. Where every lane loads
for itself, it is its own part and what loading took on top of it for a moment,
which must be there as well. One lane alone gives a bound.

Lanes in the GPU owner are threads of one process, and on many boards no process shows
what a GPU's driver holds for it: there one more lane cost what was available less
after it had started, and until one did, all that the owner holds is the bound.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.inference.lane import Lane
from gateway.inference.scheduler import Scheduler
from gateway.operations.kernel_bytes import kernel_bytes
from gateway.scaling.lane_memory import gpu_processes, process_memory
from gateway.scaling.sample import HOST, Sample

_MEASURED_AGAIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Footprint:
    """What one process takes.

    Attributes:
        own_bytes: Memory that it has for itself alone; 0 if it has gone or nobody says.
        peak_bytes: The most that this ever was, as far as it is known; at least ``own_bytes``.
    """

    own_bytes: int = 0
    peak_bytes: int = 0


# Reads a process's footprint, in a thread. Raises nothing.
ReadFootprint = Callable[[int], Footprint]


@dataclass(frozen=True, slots=True)
class LaneCost:
    """What is known of one model's lanes.

    Attributes:
        another_bytes: What one more was measured to take; None with one lane alone.
        bound_bytes: What it takes at most; None if nothing could be measured.
    """

    another_bytes: int | None = None
    bound_bytes: int | None = None

    def of_lanes(self, lanes: int) -> int:
        """Return what so many lanes take at most, in bytes; 0 if nothing could be measured."""
        if not self.bound_bytes or lanes < 1:
            return 0
        return self.bound_bytes + (self.another_bytes or self.bound_bytes) * (lanes - 1)


@dataclass(frozen=True, slots=True)
class _Measured:
    lanes: tuple[int, ...]
    at_s: float
    available_bytes: int
    cost: LaneCost


_UNKNOWN = LaneCost()


class LaneCosts:
    """Measures in a thread, when lanes have changed and once a minute."""

    def __init__(self, read: ReadFootprint) -> None:
        self._read = read
        self._measured: dict[str, _Measured] = {}

    def of(self, model: str) -> LaneCost:
        """Return what is known now."""
        measured = self._measured.get(model)
        return measured.cost if measured is not None else _UNKNOWN

    async def measure(self, serving: Sequence[tuple[str, Scheduler]], sample: Sample) -> None:
        """Measure the models whose lanes are others than at the last time, or were measured long ago.

        Args:
            serving: Models by name.
            sample: The newest one: what is available, and what drivers hold for processes.

        Cancel-safe.
        """
        for gone in self._measured.keys() - {name for name, _ in serving}:
            del self._measured[gone]
        for name, scheduler in serving:
            ready = scheduler.pool.ready_lanes
            before = self._measured.get(name)
            if ready and (before is None or _is_due(before, ready, sample.at_s)):
                self._measured[name] = await self._measure(ready, before, sample)

    async def _measure(self, ready: Sequence[Lane], before: _Measured | None, sample: Sample) -> _Measured:
        available_bytes = _available(ready, sample)
        if ready[0].body.fate is not None:
            cost = await self._cost_of_threads(ready, before, sample)
        else:
            cost = await asyncio.to_thread(self._cost_of_processes, ready)
        if cost.another_bytes is None and before is not None:  # what another one took is known from before
            cost = LaneCost(before.cost.another_bytes, cost.bound_bytes)
        return _Measured(tuple(lane.index for lane in ready), sample.at_s, available_bytes, cost)

    def _cost_of_processes(self, lanes: Sequence[Lane]) -> LaneCost:
        seen = [(lane.body, self._read(lane.pid)) for lane in lanes]
        seen = [(body, footprint) for body, footprint in seen if footprint.own_bytes > 0]
        if not seen:
            return _UNKNOWN
        bound_bytes = max(footprint.peak_bytes for _, footprint in seen)
        if len(lanes) == 1:
            return LaneCost(None, bound_bytes)
        divided = [footprint.own_bytes for body, footprint in seen if body.loaded]
        return LaneCost(max(divided, default=bound_bytes), bound_bytes)

    async def _cost_of_threads(
        self, lanes: Sequence[Lane], before: _Measured | None, sample: Sample
    ) -> LaneCost:
        pid = lanes[0].pid
        held = gpu_processes(gpu.processes_bytes for gpu in sample.board.gpus) or {}
        owner = await asyncio.to_thread(self._read, pid)
        bound_bytes = max(held.get(pid, 0), owner.peak_bytes) or None
        if before is None or len(lanes) != len(before.lanes) + 1:
            return LaneCost(None, bound_bytes)
        less_bytes = before.available_bytes - _available(lanes, sample)
        return LaneCost(less_bytes if less_bytes > 0 else None, bound_bytes)


def _is_due(before: _Measured, ready: Sequence[Lane], at_s: float) -> bool:
    indexes = tuple(lane.index for lane in ready)
    return before.lanes != indexes or at_s - before.at_s >= _MEASURED_AGAIN_S


def _available(lanes: Sequence[Lane], sample: Sample) -> int:
    """Return what is available of the memory that lanes take."""
    device = HOST if lanes[0].body.fate is None else next(iter(own_devices(sample)), HOST)
    memory = sample.memory.get(device)
    return memory.available_bytes if memory is not None else 0


def own_devices(sample: Sample) -> tuple[str, ...]:
    """Return the devices that have memory of their own, by name."""
    return tuple(sorted(device for device in sample.memory if device != HOST))


def footprint(pid: int) -> Footprint:
    """Return what a process takes, and took at most. Raises nothing."""
    memory = process_memory(pid)
    if memory is None:
        return Footprint()
    grown_bytes = 0
    with contextlib.suppress(OSError):
        status = f"/proc/{pid}/status"
        grown_bytes = max(0, kernel_bytes(status, "VmHWM") - kernel_bytes(status, "VmRSS"))
    return Footprint(memory.uss_bytes, memory.uss_bytes + grown_bytes)
