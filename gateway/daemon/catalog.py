"""Which model versions serve, and how one configuration becomes another without a gap.

A change is planned whole, proven whole, and only then carried out: whatever
cannot be proven in a throw-away process changes nothing. A model that failed
before and is as it was before hinders no change of the others.
"""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from gateway.configuration.load import LoadedSettings
from gateway.configuration.settings import Settings
from gateway.daemon.model_plan import ChangeKind, ModelPlan, changes, model_plan
from gateway.errors import ConfigError, ConfigIssue, GatewayError, PipelineMisfit
from gateway.inference.dataplane import DataPlane
from gateway.inference.loaded import LoadSpec
from gateway.inference.observer import SchedulerObserver
from gateway.inference.proof_cache import ProofCache, prove_once
from gateway.inference.scheduler import Scheduler

_DRAIN_S = 3.0


class ModelState(enum.Enum):
    """Where a configured model is."""

    PROVING = "proving"
    STARTING = "starting"
    SERVING = "serving"
    FAILED = "failed"
    OUT_OF_SERVICE = "out-of-service"


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """What is known of one configured model.

    Attributes:
        state: Where it is.
        reason: Why it does not serve; empty if it does.
    """

    state: ModelState
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change did.

    Attributes:
        kinds: What happened to each model.
        ending: Schedulers that serve no longer; drain them.
    """

    kinds: Mapping[str, ChangeKind]
    ending: tuple[Scheduler, ...]


class Catalog:
    """Proves, starts, swaps and ends model versions."""

    def __init__(
        self, dataplane: DataPlane, cache: ProofCache, observer: SchedulerObserver, loaded: LoadedSettings
    ) -> None:
        self.status: dict[str, ModelStatus] = {}
        self._dataplane = dataplane
        self._cache = cache
        self._observer = observer
        self._loaded = loaded
        self._plans: dict[str, ModelPlan] = {}  # of every model that serves or failed

    async def start(self, settings: Settings) -> None:
        """Prove and start every model; one that fails leaves the others alone.

        Raises:
            ConfigError: Pipelines do not fit their models; nothing is left running.
        """
        wanted = await self._wanted(settings)
        try:
            misfits = await asyncio.gather(*(self._start_one(name, plan) for name, plan in wanted.items()))
        except BaseException:
            await self.close(time.monotonic())
            raise
        issues = tuple(issue for issue in misfits if issue is not None)
        if issues:
            await self.close(time.monotonic())
            raise ConfigError(issues)

    async def change(self, settings: Settings, loaded: LoadedSettings) -> Changed:
        """Go over to other settings, or change nothing.

        Raises:
            ConfigError: Pipelines do not fit their models.
            GatewayError: A new or changed model cannot be proven or started.

        Cancel-safe until the new versions serve: what was started is ended.
        """
        self._loaded = loaded
        wanted = await self._wanted(settings)
        hopeless = {
            name
            for name, plan in wanted.items()
            if self.status.get(name, _UNKNOWN).state is ModelState.FAILED and self._plans.get(name) == plan
        }
        serving = {n: p for n, p in self._plans.items() if self.status[n].state is ModelState.SERVING}
        kinds = changes(serving, {n: p for n, p in wanted.items() if n not in hopeless})
        gone = self.status.keys() - settings.models.keys()
        kinds.update(dict.fromkeys(gone, ChangeKind.REMOVE))
        started: dict[str, Scheduler] = {}
        try:
            await self._prepare(kinds, wanted, started)
        except PipelineMisfit as error:
            await _close(started.values())
            raise ConfigError((self._issue(error),)) from error
        except BaseException:
            await _close(started.values())
            raise
        return Changed(kinds, self._carry_out(kinds, wanted, started))

    async def drain(self, ending: Iterable[Scheduler]) -> None:
        """Let schedulers that serve no longer finish what they hold, for a few seconds."""
        deadline_s = time.monotonic() + _DRAIN_S
        await asyncio.gather(*(scheduler.drain(deadline_s) for scheduler in ending))

    async def close(self, deadline_s: float) -> None:
        """Let requests finish until ``deadline_s``, then end every worker."""
        schedulers = [self._dataplane.withdraw(name, "the gateway is stopping") for name in self._plans]
        self._plans = {}
        await asyncio.gather(*(s.drain(deadline_s) for s in schedulers if s is not None))

    def out_of_service(self, name: str, reason: str) -> None:
        """Note that a model's workers died too often."""
        self.status[name] = ModelStatus(ModelState.OUT_OF_SERVICE, reason)

    async def _wanted(self, settings: Settings) -> dict[str, ModelPlan]:
        """Return the plans of all models, with what lies in their folders now."""
        plans = {name: model_plan(name, settings) for name in settings.models}
        files = await asyncio.gather(*(asyncio.to_thread(self._files, p.spec) for p in plans.values()))
        return {
            name: replace(plan, files=digest)
            for (name, plan), digest in zip(plans.items(), files, strict=True)
        }

    def _files(self, spec: LoadSpec) -> str:
        """Return a digest of the model's files; empty if they cannot be read, which proving will say."""
        try:
            return self._cache.key(replace(spec, pipelines=()))
        except GatewayError:
            return ""

    async def _prepare(
        self,
        kinds: Mapping[str, ChangeKind],
        wanted: Mapping[str, ModelPlan],
        started: dict[str, Scheduler],
    ) -> None:
        """Do all of a change that may fail: prove, start, and hand serving workers their new pipelines."""
        proven = [n for n, kind in kinds.items() if kind in (ChangeKind.REPLACE, ChangeKind.REPIPE)]
        await asyncio.gather(*(self._prove(wanted[name]) for name in proven))
        for name, kind in kinds.items():
            if kind is ChangeKind.REPLACE:
                started[name] = self._scheduler(wanted[name])
        await asyncio.gather(*(scheduler.start() for scheduler in started.values()))
        for name, kind in kinds.items():
            if kind is ChangeKind.REPIPE:
                await self._dataplane.serving[name].set_pipelines(wanted[name].spec)

    def _carry_out(
        self,
        kinds: Mapping[str, ChangeKind],
        wanted: Mapping[str, ModelPlan],
        started: Mapping[str, Scheduler],
    ) -> tuple[Scheduler, ...]:
        """Switch, in one turn of the event loop; return what serves no longer."""
        ending: list[Scheduler | None] = []
        for name, kind in kinds.items():
            if kind is ChangeKind.REMOVE:
                self._plans.pop(name, None)
                self.status.pop(name, None)
                ending.append(self._dataplane.withdraw(name))
                continue
            self._plans[name] = wanted[name]
            if kind is ChangeKind.REPLACE:
                ending.append(self._dataplane.serve(name, started[name]))
                self.status[name] = ModelStatus(ModelState.SERVING)
            elif kind in (ChangeKind.RESIZE, ChangeKind.REPIPE):
                self._dataplane.serving[name].pool.resize(wanted[name].lanes)
        return tuple(scheduler for scheduler in ending if scheduler is not None)

    async def _start_one(self, name: str, plan: ModelPlan) -> ConfigIssue | None:
        """Start one model; return the issue if its pipelines do not fit it."""
        self._plans[name] = plan
        try:
            self._note(name, ModelState.PROVING, "it is being proven")
            await self._prove(plan)
            self._note(name, ModelState.STARTING, "its workers are starting")
            scheduler = self._scheduler(plan)
            await scheduler.start()
        except PipelineMisfit as error:
            return self._issue(error)
        except GatewayError as error:
            self._note(name, ModelState.FAILED, error.message)
            self._observer.out_of_service(name, error)
            self.status[name] = ModelStatus(ModelState.FAILED, error.message)
            return None
        self._dataplane.serve(name, scheduler)
        self.status[name] = ModelStatus(ModelState.SERVING)
        return None

    def _note(self, name: str, state: ModelState, reason: str) -> None:
        self.status[name] = ModelStatus(state, reason)
        self._dataplane.withdraw(name, reason)

    async def _prove(self, plan: ModelPlan) -> None:
        await prove_once(plan.spec, self._cache, timeout_s=plan.limits.pool.load_timeout_s)

    def _scheduler(self, plan: ModelPlan) -> Scheduler:
        return Scheduler(plan.spec, lanes=plan.lanes, limits=plan.limits, observer=self._observer)

    def _issue(self, error: PipelineMisfit) -> ConfigIssue:
        return self._loaded.positions.issue(error.step, error.reason)


_UNKNOWN = ModelStatus(ModelState.PROVING)


async def _close(schedulers: Iterable[Scheduler]) -> None:
    await asyncio.gather(*(scheduler.close() for scheduler in schedulers))
