"""All serving models as the scaling policy sees them, and the way back: their lanes are changed here."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from gateway.configuration.settings import Settings
from gateway.daemon.demand_watch import DemandWatch
from gateway.daemon.lane_costs import LaneCosts, own_devices
from gateway.inference.confine import needs_devices
from gateway.inference.scheduler import Scheduler
from gateway.operations.processors import processor_count
from gateway.scaling.demand import ModelDemand
from gateway.scaling.sample import HOST, Sample
from gateway.scaling.unloading import OnDemand


class OnDemandModels(Protocol):
    """Who knows the models that are loaded on demand."""

    def may_go(self, model: str) -> OnDemand | None:
        """Return what is known of a model that may be unloaded now; None if it may not."""
        ...

    def unload_idle(self, model: str, because: str) -> bool:
        """Unload a model at once, unless it is in use; return whether that was done."""
        ...


class Fleet:
    """Reads and changes the lanes of whatever serves now.

    Attributes:
        on_demand: Who knows the models that are loaded on demand; None where there are none.
    """

    def __init__(
        self,
        serving: Mapping[str, Scheduler],
        watch: DemandWatch,
        costs: LaneCosts,
        settings: Callable[[], Settings],
    ) -> None:
        """Stand over a live view of schedulers.

        Args:
            serving: Schedulers by model.
            watch: Who counted demand since it was last asked.
            costs: What lanes take.
            settings: Returns what is configured now.
        """
        self.on_demand: OnDemandModels | None = None
        self._serving = serving
        self._watch = watch
        self._costs = costs
        self._settings = settings
        self._asked_s = time.monotonic()
        self._processors = processor_count()
        self._counted_s: dict[str, float] = {}  # of batches that run: what an earlier sample has counted

    async def demands(self, sample: Sample) -> tuple[ModelDemand, ...]:
        """Return what is wanted of each serving model since the last call.

        Cancel-safe.
        """
        await self._costs.measure([*self._serving.items()], sample)
        self._processors = processor_count()
        now_s = time.monotonic()
        elapsed_s = max(1e-3, now_s - self._asked_s)
        demands = tuple(
            self._with_least(self._demand(name, scheduler, sample, (now_s, elapsed_s)))
            for name, scheduler in self._serving.items()
            if scheduler.pool.in_service and scheduler.pool.wanted > 0
        )
        self._asked_s = now_s
        return demands

    def refreshed(self, demands: Sequence[ModelDemand]) -> tuple[ModelDemand, ...]:
        """Return demands with the lanes that there are now, without models that serve no longer."""
        found = []
        for demand in demands:
            scheduler = self._serving.get(demand.model)
            if scheduler is not None and scheduler.pool.in_service:
                ready = scheduler.pool.ready_lanes
                starting = max(0, scheduler.pool.wanted - len(ready))
                idle = sum(not lane.in_flight for lane in ready)
                now = replace(demand, ready=len(ready), starting=starting, idle=idle)
                found.append(self._with_least(now))
        return tuple(found)

    def unload(self, model: str, because: str) -> bool:
        """Unload a model that is loaded on demand, unless it is in use after all; return whether it was."""
        return self.on_demand is not None and self.on_demand.unload_idle(model, because)

    def resize(self, model: str, lanes: int) -> int:
        """Give a model so many lanes; return how many it had."""
        pool = self._serving[model].pool
        was = pool.wanted
        pool.resize(lanes)
        return was

    def as_configured(self) -> None:
        """Give every model the lanes that it starts with."""
        models = self._settings().models
        for name, scheduler in self._serving.items():
            if name in models and scheduler.pool.in_service:
                scheduler.pool.resize(models[name].lanes)

    def max_lanes(self, model: str) -> int:
        """Return the most lanes that a model may have."""
        configured = self._settings().models[model]
        return max(configured.lanes, configured.max_lanes or self._processors)

    def _demand(
        self, name: str, scheduler: Scheduler, sample: Sample, clock: tuple[float, float]
    ) -> ModelDemand:
        now_s, elapsed_s = clock
        settings, pool, cost = self._settings(), scheduler.pool, self._costs.of(name)
        ready = pool.ready_lanes
        counted = self._watch.take(name)
        oldest_s = scheduler.oldest_arrived_s
        options = pool.spec.options
        on_devices = needs_devices(options.providers, options.delegates)
        priorities = {each.priority for each in settings.pipelines.values() if each.model == name}
        return ModelDemand(
            model=name,
            device=next(iter(own_devices(sample)), HOST) if on_devices else HOST,
            ready=len(ready),
            starting=max(0, pool.wanted - len(ready)),
            configured=settings.models[name].lanes,
            max_lanes=self.max_lanes(name),
            idle=sum(not lane.in_flight for lane in ready),
            busy=self._busy_s(name, scheduler, counted.busy_s, now_s) / (elapsed_s * max(1, len(ready))),
            oldest_wait_s=0.0 if oldest_s is None else max(0.0, now_s - oldest_s),
            queued_rows=scheduler.queued_rows,
            deadline_misses=counted.deadline_misses,
            priorities=tuple(sorted(priorities)),
            lane_cost_bytes=cost.another_bytes,
            cost_bound_bytes=cost.bound_bytes,
            on_processors=not on_devices,
        )

    def _with_least(self, demand: ModelDemand) -> ModelDemand:
        """Return a demand whose least number of lanes is 0 if its model may be unloaded now."""
        known = self.on_demand.may_go(demand.model) if self.on_demand is not None else None
        if known is None:
            return replace(demand, min_lanes=1, used_s=0.0)
        return replace(demand, min_lanes=0, used_s=known.used_s)

    def _busy_s(self, name: str, scheduler: Scheduler, ended_s: float, now_s: float) -> float:
        """Return the time that lanes spent on batches since the last sample, on those that still run too."""
        running_s = sum(
            max(0.0, now_s - lane.in_flight[0].started_s) for lane in scheduler.pool.lanes if lane.in_flight
        )
        busy_s = ended_s + running_s - self._counted_s.get(name, 0.0)
        self._counted_s[name] = running_s
        return max(0.0, busy_s)
