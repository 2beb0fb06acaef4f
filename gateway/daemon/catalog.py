"""Which model versions serve, and how one configuration becomes another without a gap.

A change is planned whole, proven whole, and only then carried out: whatever
cannot be proven in a throw-away process changes nothing. A model that failed
before and is as it was before hinders no change of the others.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from gateway.config_issue import ConfigIssue
from gateway.configuration.load import LoadedSettings
from gateway.configuration.settings import Settings
from gateway.daemon.model_plan import ChangeKind, ModelPlan, changes, model_plan
from gateway.daemon.model_state import ModelState, ModelStatus
from gateway.daemon.service_watch import Role, ServiceWatch
from gateway.errors import ConfigError, GatewayError, LoadFailed, LostRace, PipelineMisfit
from gateway.inference.choosing import Chooser
from gateway.inference.dataplane import DataPlane
from gateway.inference.loaded import LoadSpec
from gateway.inference.observer import SchedulerObserver
from gateway.inference.pool import MakeBody, process_body
from gateway.inference.proof import Effort
from gateway.inference.proof_cache import ProofCache
from gateway.inference.proven import Proof, ProofBudgets
from gateway.inference.scheduler import Scheduler

_DRAIN_S = 3.0


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change did.

    Attributes:
        kinds: What happened to each model.
        ending: Schedulers that serve no longer; drain them.
    """

    kinds: Mapping[str, ChangeKind]
    ending: tuple[Scheduler, ...]


@dataclass(slots=True, eq=False)
class Version:
    """A version of a model with lanes of its own: it serves, or it may soon.

    Attributes:
        name: Name of the model.
        plan: What it was started from.
        scheduler: Its queue and lanes.
        watch: What is known of how it does.
    """

    name: str
    plan: ModelPlan
    scheduler: Scheduler
    watch: ServiceWatch


def _as_configured(_name: str) -> str | None:
    return None


class Catalog:
    """Proves, starts, swaps and ends model versions.

    Attributes:
        status: What is known of each configured model.
        versions: What serves, by model; a live view.
    """

    def __init__(
        self,
        dataplane: DataPlane,
        backends: tuple[ProofCache, Chooser],
        observer: SchedulerObserver,
        loaded: LoadedSettings,
        folder_of: Callable[[str], str | None] = _as_configured,
        make_body: MakeBody = process_body,
    ) -> None:
        """Make an empty catalogue.

        Args:
            dataplane: Where versions serve.
            backends: What keeps proofs, and what proves on which backend a model runs.
            observer: Who counts and logs.
            loaded: The configuration.
            folder_of: Folder of the release that a model serves; None for the configured one.
            make_body: Makes what a new lane lives in.
        """
        self.status: dict[str, ModelStatus] = {}
        self.versions: dict[str, Version] = {}
        self._dataplane = dataplane
        self._cache, self.chooser = backends
        self._observer = observer
        self._loaded = loaded
        self._folder_of = folder_of
        self._make_body = make_body
        self._changing = asyncio.Lock()
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
        async with self._changing:
            return await self._change(settings, loaded)

    async def _change(self, settings: Settings, loaded: LoadedSettings) -> Changed:
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
        started: dict[str, Version] = {}
        try:
            await self._prepare(kinds, wanted, started)
        except PipelineMisfit as error:
            await _close(started.values())
            raise ConfigError((self._issue(error),)) from error
        except BaseException:
            await _close(started.values())
            raise
        return Changed(kinds, self._carry_out(kinds, wanted, started))

    async def candidate(
        self, name: str, folder: str, settings: Settings, *, lanes: int | None = None, gently: bool = True
    ) -> Version:
        """Start another version of a model beside the one that serves; it serves nobody yet.

        Args:
            name: The model.
            folder: Folder of the other version.
            settings: What is configured now.
            lanes: How many lanes it gets; as many as what serves has now if None.
            gently: Whether what serves goes first while it loads.

        Raises:
            GatewayError: It cannot be proven or started; nothing of it is left running.

        Cancel-safe: what was started is ended.
        """
        plan = await self.plan_of(name, folder, settings)
        version = self._version(name, plan, await self._prove(plan))
        version.scheduler.pool.wanted = lanes or self.lanes_of(name) or plan.lanes
        await version.scheduler.start(gently=gently)
        return version

    async def plan_of(self, name: str, folder: str, settings: Settings) -> ModelPlan:
        """Return how a version in ``folder`` would serve a model as it is configured now."""
        plan = model_plan(name, settings)
        plan = replace(plan, spec=replace(plan.spec, folder=folder))
        return replace(plan, files=await asyncio.to_thread(self._files, plan.spec))

    async def exchange(self, version: Version, settings: Callable[[], Settings]) -> Version | None:
        """Let a candidate take all new requests of its model; return what served before: drain it.

        The exchange happens between two requests, in one turn of the event loop. ``settings`` is asked
        once no change is under way any more.

        Raises:
            LostRace: The configuration of the model changed since the candidate was started.
        """
        async with self._changing:
            if version.plan != await self.plan_of(version.name, version.plan.spec.folder, settings()):
                raise LostRace(f"model {version.name}: its configuration changed; start the candidate anew")
            return self._serve(version)

    async def exchange_cold(self, name: str, folder: str, settings: Callable[[], Settings]) -> None:
        """End what serves a model, then start another version: where both do not fit into memory.

        Raises:
            GatewayError: The other version does not start; what served before serves again.
        """
        async with self._changing:
            old = self.versions.pop(name, None)
            self._note(name, ModelState.STARTING, "another version takes its place")
            if old is not None:
                old.watch.role = Role.PAST
                await old.scheduler.drain(time.monotonic() + _DRAIN_S)
            try:
                self._serve(await self.candidate(name, folder, settings(), gently=False))
            except GatewayError:
                if old is not None:
                    again = self._version(name, old.plan, old.scheduler.pool.spec)
                    await again.scheduler.start()
                    self._serve(again)
                raise

    async def drain(self, ending: Iterable[Scheduler]) -> None:
        """Let schedulers that serve no longer finish what they hold, for a few seconds."""
        deadline_s = time.monotonic() + _DRAIN_S
        await asyncio.gather(*(scheduler.drain(deadline_s) for scheduler in ending))

    async def close(self, deadline_s: float) -> None:
        """Let requests finish until ``deadline_s``, then end every worker."""
        schedulers = [self._dataplane.withdraw(name, "the gateway is stopping") for name in self._plans]
        self._plans = {}
        self.versions = {}
        await asyncio.gather(*(s.drain(deadline_s) for s in schedulers if s is not None))

    async def start_at(self, name: str, folder: str, settings: Callable[[], Settings]) -> None:
        """Start a model that does not serve, from another folder.

        Raises:
            GatewayError: It cannot be proven or started.
        """
        async with self._changing:
            issue = await self._start_one(name, await self.plan_of(name, folder, settings()))
        if issue is not None:
            raise ConfigError((issue,))
        status = self.status[name]
        if status.state is not ModelState.SERVING:
            raise LoadFailed(f"model {name}: {status.reason}", model=name)

    async def prove_release(self, name: str, folder: str, settings: Settings, budgets: ProofBudgets) -> Proof:
        """Try another version of a model in a throw-away process, with the pipelines that run here.

        Raises:
            GatewayError: It does not load, fit, answer right, or stay within its budgets.

        Cancel-safe: the process is ended.
        """
        plan = await self.plan_of(name, folder, settings)
        effort, limit_s = Effort(budgets, gently=True), plan.limits.pool.load_timeout_s
        return (await self.chooser.choose(plan.spec, timeout_s=limit_s, effort=effort, afresh=True)).proof

    def out_of_service(self, name: str, reason: str) -> None:
        """Note that a model's workers died too often."""
        self.status[name] = ModelStatus(ModelState.OUT_OF_SERVICE, reason)

    def lanes_of(self, name: str) -> int:
        """Return how many lanes a model has now, or is to have; 0 if it does not serve."""
        version = self.versions.get(name)
        return version.scheduler.pool.wanted if version is not None else 0

    async def _wanted(self, settings: Settings) -> dict[str, ModelPlan]:
        """Return the plans of all models, with what lies in their folders now."""
        folders = {name: self._folder_of(name) or model.path for name, model in settings.models.items()}
        plans = await asyncio.gather(
            *(self.plan_of(name, folder, settings) for name, folder in folders.items())
        )
        return dict(zip(folders, plans, strict=True))

    def _files(self, spec: LoadSpec) -> str:
        """Return a digest of the model's files; empty if they cannot be read, which proving will say."""
        try:
            return self._cache.key(replace(spec, pipelines=()))
        except GatewayError:
            return ""

    async def _prepare(
        self,
        kinds: dict[str, ChangeKind],
        wanted: Mapping[str, ModelPlan],
        started: dict[str, Version],
    ) -> None:
        """Do all of a change that may fail: prove, start, and hand serving workers their new pipelines."""
        proven = [n for n, kind in kinds.items() if kind in (ChangeKind.REPLACE, ChangeKind.REPIPE)]
        specs = dict(
            zip(proven, await asyncio.gather(*(self._prove(wanted[n]) for n in proven)), strict=True)
        )
        for name, spec in specs.items():
            if kinds[name] is ChangeKind.REPIPE and not self._runs_as(name, spec):
                kinds[name] = ChangeKind.REPLACE  # another backend holds now
            if kinds[name] is ChangeKind.REPLACE:
                started[name] = self._version(name, wanted[name], spec)
        await asyncio.gather(*(version.scheduler.start() for version in started.values()))
        for name, spec in specs.items():
            if kinds[name] is ChangeKind.REPIPE:
                await self._dataplane.serving[name].set_pipelines(spec)

    def _carry_out(
        self,
        kinds: Mapping[str, ChangeKind],
        wanted: Mapping[str, ModelPlan],
        started: Mapping[str, Version],
    ) -> tuple[Scheduler, ...]:
        """Switch, in one turn of the event loop; return what serves no longer."""
        ending: list[Scheduler | None] = []
        for name, kind in kinds.items():
            if kind is ChangeKind.REMOVE:
                self._plans.pop(name, None)
                self.status.pop(name, None)
                self.versions.pop(name, None)
                ending.append(self._dataplane.withdraw(name))
                continue
            self._plans[name] = wanted[name]
            if kind is ChangeKind.REPLACE:
                old = self._serve(started[name])
                ending.append(old.scheduler if old else None)
            elif (version := self.versions.get(name)) is not None:
                if version.plan.lanes != wanted[name].lanes:
                    version.scheduler.pool.resize(wanted[name].lanes)
                version.plan = wanted[name]
        return tuple(scheduler for scheduler in ending if scheduler is not None)

    async def _start_one(self, name: str, plan: ModelPlan) -> ConfigIssue | None:
        """Start one model; return the issue if its pipelines do not fit it."""
        self._plans[name] = plan
        try:
            self._note(name, ModelState.PROVING, "it is being proven")
            spec = await self._prove(plan)
            self._note(name, ModelState.STARTING, "its workers are starting")
            version = self._version(name, plan, spec)
            await version.scheduler.start()
        except PipelineMisfit as error:
            return self._issue(error)
        except GatewayError as error:
            self._note(name, ModelState.FAILED, error.message)
            self._observer.out_of_service(name, error)
            self.status[name] = ModelStatus(ModelState.FAILED, error.message)
            return None
        self._serve(version)
        return None

    def _serve(self, version: Version) -> Version | None:
        """Let a version serve; return the one that did before."""
        name = version.name
        old = self.versions.get(name)
        version.watch.role = Role.SERVING
        if old is not None:
            old.watch.role = Role.PAST
        self.versions[name] = version
        self._plans[name] = version.plan
        self.status[name] = ModelStatus(ModelState.SERVING)
        self._dataplane.serve(name, version.scheduler)
        return old

    def _note(self, name: str, state: ModelState, reason: str) -> None:
        self.status[name] = ModelStatus(state, reason)
        self._dataplane.withdraw(name, reason)

    async def _prove(self, plan: ModelPlan) -> LoadSpec:
        """Return what lanes are to load: what holds on this board."""
        return (await self.chooser.choose(plan.spec, timeout_s=plan.limits.pool.load_timeout_s)).spec

    def _runs_as(self, name: str, spec: LoadSpec) -> bool:
        return replace(self._dataplane.serving[name].pool.spec, pipelines=()) == replace(spec, pipelines=())

    def _version(self, name: str, plan: ModelPlan, spec: LoadSpec) -> Version:
        watch = ServiceWatch(self._observer)
        scheduler = Scheduler(
            spec, lanes=plan.lanes, limits=plan.limits, observer=watch, make_body=self._make_body
        )
        return Version(name, plan, scheduler, watch)

    def _issue(self, error: PipelineMisfit) -> ConfigIssue:
        return self._loaded.positions.issue(error.step, error.reason)


_UNKNOWN = ModelStatus(ModelState.PROVING)


async def _close(versions: Iterable[Version]) -> None:
    await asyncio.gather(*(version.scheduler.close() for version in versions))
