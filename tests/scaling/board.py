"""A board that is only reckoned: lanes that take memory and time, page cache, pressure, an OOM killer."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final

from gateway.scaling.demand import ModelDemand
from gateway.scaling.sample import HOST, BoardReading, DeviceMemory, Pressure, Sample, Source
from tests.scaling.traces import SoakModel, Trace

# What the kernel keeps for itself, as a share; not available to anybody.
_KERNEL: Final = 0.01
# Share of the page cache that cannot be dropped at once though it counts as available.
_DIRTY: Final = 0.08
_LOAD_PEAK: Final = 1.3
_CREEP: Final = 0.08
_CREEP_S: Final = 3600.0
_RETIRES_S: Final = 2.0
_TTL_S: Final = 1.0
_PRESSED_BELOW: Final = 0.05
_AVERAGE_S: Final = 10.0


@dataclass(slots=True)
class Lane:
    """One lane; the first one of a model carries what all share."""

    bytes: int
    born_s: float
    ready_s: float
    gone_s: float | None = None

    def taken(self, at_s: float) -> float:
        """Return the memory that it takes: more while it loads, and slowly more as it serves."""
        if at_s < self.ready_s:
            return (
                self.bytes * _LOAD_PEAK * min(1.0, (at_s - self.born_s + 0.5) / (self.ready_s - self.born_s))
            )
        return self.bytes * (1.0 + _CREEP * min(1.0, (at_s - self.ready_s) / _CREEP_S))


@dataclass(slots=True)
class Served:
    """One model's lanes, queue and counts."""

    model: SoakModel
    lanes: list[Lane]
    leaving: list[Lane] = field(default_factory=list)
    queued: float = 0.0
    busy_s: float = 0.0
    busy_now: float = 0.0
    misses: float = 0.0
    asked: float = 0.0
    answered: float = 0.0
    measured_bytes: int | None = None

    def ready(self, at_s: float) -> int:
        """Return how many lanes take batches."""
        return sum(lane.ready_s <= at_s for lane in self.lanes)

    def taken(self, at_s: float) -> float:
        """Return the memory of all its lanes, of leaving ones too."""
        return sum(lane.taken(at_s) for lane in self.lanes) + sum(lane.taken(at_s) for lane in self.leaving)


class ReckonedBoard:
    """The board of a trace, second by second."""

    def __init__(self, trace: Trace, seed: int = 0) -> None:
        self.trace = trace
        self.at_s = 0.0
        self.models = {
            model.name: Served(
                model, [Lane(model.first_bytes, -1.0, 0.0)], measured_bytes=model.measured_bytes
            )
            for model in trace.models
        }
        self.killed: list[tuple[float, str]] = []
        self.processors_busy = 0.0
        self._full = 0.0
        self._kills = 0
        self._cache = 0.0
        self._sampled_s = 0.0
        self._chance = random.Random(seed)

    @property
    def used_bytes(self) -> float:
        """Memory that cannot be had: everything but free memory and the page cache."""
        lanes = sum(served.taken(self.at_s) for served in self.models.values())
        return lanes + self.trace.others_bytes(self.at_s) + _KERNEL * self.trace.total_bytes

    def step(self, admits: dict[str, bool]) -> str | None:
        """Let a second pass; return the model whose lane was killed for memory, None if none was."""
        self.at_s += 1.0
        for served in self.models.values():
            served.leaving = [lane for lane in served.leaving if (lane.gone_s or 0.0) > self.at_s]
        self._serve(admits)
        total, used = self.trace.total_bytes, self.used_bytes
        self._cache = min(self._cache + 0.002 * total, self.trace.cache_share * total, max(0.0, total - used))
        free = total - used - _DIRTY * self._cache
        pressed = min(1.0, max(0.0, (_PRESSED_BELOW - free / total) / _PRESSED_BELOW))
        self._full += (pressed - self._full) / _AVERAGE_S
        return self._kill() if free < 0 else None

    def resize(self, name: str, wanted: int) -> None:
        """Add lanes, or let the youngest go: they keep their memory until they have finished."""
        served = self.models[name]
        while len(served.lanes) < wanted:
            served.lanes.append(
                Lane(served.model.lane_bytes, self.at_s, self.at_s + max(1.0, served.model.start_s))
            )
        while len(served.lanes) > wanted:
            lane = served.lanes.pop()
            lane.gone_s = self.at_s + _RETIRES_S
            served.leaving.append(lane)

    def sample(self) -> Sample:
        """Read the board as telemetry would."""
        total = self.trace.total_bytes
        available = max(0, int(total - self.used_bytes))
        kills, self._kills = self._kills, 0
        return Sample(
            at_s=self.at_s,
            memory={HOST: DeviceMemory(HOST, Source.MEMINFO, "reckoned", total, available, int(self._cache))},
            pressure=Pressure("psi", full=self._full, oom_kills=kills),
            board=BoardReading(processors_busy=self.processors_busy),
        )

    def demands(self, *, begin: bool = True) -> tuple[ModelDemand, ...]:
        """Return the demand since the last sample, and begin to count anew."""
        elapsed_s = max(1.0, self.at_s - self._sampled_s)
        demands = tuple(self._demand(served, elapsed_s) for served in self.models.values())
        if begin:
            self._sampled_s = self.at_s
            for served in self.models.values():
                served.busy_s = served.misses = 0.0
        return demands

    def _demand(self, served: Served, elapsed_s: float) -> ModelDemand:
        ready, model = served.ready(self.at_s), served.model
        if ready > 1:  # now it can be measured, though not exactly
            served.measured_bytes = int(model.lane_bytes * self._chance.uniform(0.9, 1.1))
        lanes_a_second = max(1, ready) / model.run_s
        return ModelDemand(
            model=model.name,
            ready=ready,
            starting=len(served.lanes) - ready,
            max_lanes=model.max_lanes,
            idle=max(0, int(ready - served.busy_now)),
            busy=min(1.0, served.busy_s / (elapsed_s * max(1, ready))),
            oldest_wait_s=min(_TTL_S, served.queued / lanes_a_second),
            queued_rows=int(served.queued),
            deadline_misses=int(served.misses),
            priorities=(model.priority,),
            lane_cost_bytes=served.measured_bytes,
            cost_bound_bytes=model.first_bytes + model.lane_bytes,
            on_processors=model.on_processors,
        )

    def _serve(self, admits: dict[str, bool]) -> None:
        """Answer what can be answered in this second; what waits for longer than it is worth is late."""
        waiting = {
            name: served.queued + (served.model.rate(self.at_s) if admits[name] else 0.0)
            for name, served in self.models.items()
        }
        wish = {
            name: min(served.ready(self.at_s), waiting[name] * served.model.run_s)
            for name, served in self.models.items()
        }
        on_processors = sum(wish[name] for name, served in self.models.items() if served.model.on_processors)
        others = self.trace.others_busy(self.at_s)
        room = max(0.5, self.trace.processors - others)
        slow = max(1.0, on_processors / room)
        self.processors_busy = min(1.0, (others + min(room, on_processors)) / self.trace.processors)
        for name, served in self.models.items():
            ready, run_s = served.ready(self.at_s), served.model.run_s
            if served.model.on_processors:
                run_s *= slow
            answered = min(waiting[name], ready / run_s)
            served.busy_now = min(ready, answered * run_s)
            served.busy_s += served.busy_now
            served.answered += answered
            left = waiting[name] - answered
            served.queued = min(left, _TTL_S * ready / run_s)
            served.misses += left - served.queued
            served.asked += served.model.rate(self.at_s)

    def _kill(self) -> str:
        """Kill a lane, as the kernel does: of the model that takes most. Its pool starts it again."""
        name = max(self.models, key=lambda each: self.models[each].taken(self.at_s))
        served = self.models[name]
        lane = served.lanes[-1]
        lane.born_s, lane.ready_s = self.at_s, self.at_s + max(1.0, served.model.start_s)
        self._kills += 1
        self.killed.append((self.at_s, name))
        return name
