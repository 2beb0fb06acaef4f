"""Which model versions serve, and how one configuration becomes another without a gap.

A change is planned whole, proven whole, and only then carried out: whatever
cannot be proven in a throw-away process changes nothing.
"""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from gateway.configuration.load import LoadedSettings
from gateway.configuration.settings import InferenceSettings, ModelSettings, Settings
from gateway.errors import ConfigError, ConfigIssue, GatewayError, PipelineMisfit
from gateway.frames.limits import PayloadLimits
from gateway.inference.batching import BatchLimits
from gateway.inference.dataplane import DataPlane
from gateway.inference.engines.engine import EngineOptions
from gateway.inference.loaded import LoadSpec, PipelineSpec
from gateway.inference.observer import SchedulerObserver
from gateway.inference.pool import PoolLimits
from gateway.inference.proof_cache import ProofCache, prove_once
from gateway.inference.scheduler import Scheduler, SchedulerLimits
from gateway.operations.restart import RestartLimits

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


class ChangeKind(enum.Enum):
    """What a new configuration means for one model."""

    KEEP = "keep"
    RESIZE = "resize"
    REPIPE = "repipe"
    REPLACE = "replace"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """All that a configuration says of how one model is to serve.

    Attributes:
        spec: What its workers load.
        limits: Bounds of its queue, batches and workers.
        lanes: How many workers.
    """

    spec: LoadSpec
    limits: SchedulerLimits
    lanes: int


def plan(old: Mapping[str, ModelPlan], settings: Settings) -> dict[str, ChangeKind]:
    """Return what must happen to each model, old or new. Pure.

    Args:
        old: Plans of the models that serve.
        settings: The wanted configuration.
    """
    changes: dict[str, ChangeKind] = {}
    for name in settings.models:
        wanted, now = model_plan(name, settings), old.get(name)
        if now is None or _without_pipelines(now) != _without_pipelines(wanted):
            changes[name] = ChangeKind.REPLACE
        elif now.spec.pipelines != wanted.spec.pipelines:
            changes[name] = ChangeKind.REPIPE
        elif now.lanes != wanted.lanes:
            changes[name] = ChangeKind.RESIZE
        else:
            changes[name] = ChangeKind.KEEP
    changes.update(dict.fromkeys(old.keys() - settings.models.keys(), ChangeKind.REMOVE))
    return changes


def _without_pipelines(known: ModelPlan) -> tuple[LoadSpec, SchedulerLimits]:
    return replace(known.spec, pipelines=()), known.limits


def model_plan(name: str, settings: Settings) -> ModelPlan:
    """Return all that ``settings`` say of model ``name``."""
    model, inference = settings.models[name], settings.inference
    limits = SchedulerLimits(
        BatchLimits(model.max_batch_rows, model.max_queued_rows),
        PoolLimits(model.run_timeout_s, model.load_timeout_s, _restart(inference)),
        inference.quarantined_payloads,
    )
    return ModelPlan(load_spec(name, settings), limits, model.lanes)


def load_spec(name: str, settings: Settings) -> LoadSpec:
    """Return what a worker of model ``name`` must load."""
    model = settings.models[name]
    limits = settings.inference
    pipelines = tuple(
        PipelineSpec(pipeline_name, pipeline.preprocess, pipeline.postprocess)
        for pipeline_name, pipeline in sorted(settings.pipelines.items())
        if pipeline.model == name
    )
    return LoadSpec(
        name=name,
        folder=model.path,
        engine=model.engine,
        options=EngineOptions(model.threads, model.providers, model.delegates),
        pipelines=pipelines,
        limits=PayloadLimits(limits.max_payload_bytes, limits.max_pixels, limits.max_elements),
    )


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
        self._plans: dict[str, ModelPlan] = {}

    async def start(self, settings: Settings) -> None:
        """Prove and start every model; one that fails leaves the others alone.

        Raises:
            ConfigError: Pipelines do not fit their models; nothing is left running.
        """
        try:
            misfits = await asyncio.gather(*(self._start_one(name, settings) for name in settings.models))
        except BaseException:
            await self.close(time.monotonic())
            raise
        issues = tuple(issue for issue in misfits if issue is not None)
        if issues:
            await self.close(time.monotonic())
            raise ConfigError(issues)

    async def change(self, settings: Settings, loaded: LoadedSettings) -> dict[str, ChangeKind]:
        """Go over to other settings, or change nothing.

        Raises:
            ConfigError: Pipelines do not fit their models.
            GatewayError: A new or changed model cannot be proven or started.

        Cancel-safe until the new versions serve: what was started is ended.
        """
        self._loaded = loaded
        serving = {n: p for n, p in self._plans.items() if self.status[n].state is ModelState.SERVING}
        changes = plan(serving, settings)
        gone = (self._plans.keys() | self.status.keys()) - settings.models.keys()
        changes.update(dict.fromkeys(gone, ChangeKind.REMOVE))
        touched = [n for n, kind in changes.items() if kind in (ChangeKind.REPLACE, ChangeKind.REPIPE)]
        started: dict[str, Scheduler] = {}
        try:
            await asyncio.gather(*(self._prove(load_spec(n, settings), settings.models[n]) for n in touched))
            for name in touched:
                if changes[name] is ChangeKind.REPLACE:
                    started[name] = self._scheduler(name, settings)
            await asyncio.gather(*(scheduler.start() for scheduler in started.values()))
        except PipelineMisfit as error:
            await asyncio.gather(*(scheduler.close() for scheduler in started.values()))
            raise ConfigError((self._issue(error),)) from error
        except BaseException:
            await asyncio.gather(*(scheduler.close() for scheduler in started.values()))
            raise
        await self._carry_out(changes, settings, started)
        return changes

    async def close(self, deadline_s: float) -> None:
        """Let requests finish until ``deadline_s``, then end every worker."""
        schedulers = [self._dataplane.withdraw(name, "the gateway is stopping") for name in self._plans]
        self._plans = {}
        await asyncio.gather(*(s.drain(deadline_s) for s in schedulers if s is not None))

    def out_of_service(self, name: str, reason: str) -> None:
        """Note that a model's workers died too often."""
        self.status[name] = ModelStatus(ModelState.OUT_OF_SERVICE, reason)

    async def _carry_out(
        self, changes: Mapping[str, ChangeKind], settings: Settings, started: Mapping[str, Scheduler]
    ) -> None:
        ending: list[Scheduler] = []
        for name, kind in changes.items():
            serving = self._dataplane.serving.get(name)
            if kind is ChangeKind.REMOVE:
                self._plans.pop(name, None)
                self.status.pop(name, None)
                removed = self._dataplane.withdraw(name)
                ending += [removed] if removed else []
                continue
            self._plans[name] = model_plan(name, settings)
            if kind is ChangeKind.REPLACE:
                old = self._dataplane.serve(name, started[name])
                self.status[name] = ModelStatus(ModelState.SERVING)
                ending += [old] if old else []
            elif kind is ChangeKind.REPIPE and serving is not None:
                await serving.set_pipelines(self._plans[name].spec)
            if kind in (ChangeKind.RESIZE, ChangeKind.REPIPE) and serving is not None:
                serving.pool.resize(settings.models[name].lanes)
        deadline_s = time.monotonic() + _DRAIN_S
        await asyncio.gather(*(scheduler.drain(deadline_s) for scheduler in ending))

    async def _start_one(self, name: str, settings: Settings) -> ConfigIssue | None:
        """Start one model; return the issue if its pipelines do not fit it."""
        self._plans[name] = model_plan(name, settings)
        try:
            self._note(name, ModelState.PROVING, "it is being proven")
            await self._prove(self._plans[name].spec, settings.models[name])
            self._note(name, ModelState.STARTING, "its workers are starting")
            scheduler = self._scheduler(name, settings)
            await scheduler.start()
        except PipelineMisfit as error:
            return self._issue(error)
        except GatewayError as error:
            del self._plans[name]  # the next reload tries again
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

    async def _prove(self, spec: LoadSpec, model: ModelSettings) -> None:
        await prove_once(spec, self._cache, timeout_s=model.load_timeout_s)

    def _scheduler(self, name: str, settings: Settings) -> Scheduler:
        wanted = model_plan(name, settings)
        return Scheduler(wanted.spec, lanes=wanted.lanes, limits=wanted.limits, observer=self._observer)

    def _issue(self, error: PipelineMisfit) -> ConfigIssue:
        pipeline = str(error.attributes.get("pipeline", ""))
        return self._loaded.positions.issue(f"pipelines.{pipeline}", error.message)


def _restart(limits: InferenceSettings) -> RestartLimits:
    return RestartLimits(
        limits.restart_min_s, limits.restart_max_s, limits.crash_limit, limits.crash_window_s
    )
