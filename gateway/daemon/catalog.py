"""Which model versions serve, and how one configuration becomes another without a gap.

A change is planned whole, proven whole, and only then carried out: whatever
cannot be proven in a throw-away process changes nothing. A model that failed
before and is as it was before hinders no change of the others.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from gateway.config_issue import ConfigIssue
from gateway.configuration.load import LoadedSettings
from gateway.configuration.settings import Settings
from gateway.daemon.model_plan import ChangeKind, ModelPlan, changes
from gateway.daemon.model_state import ModelState, ModelStatus, Rest
from gateway.daemon.model_version import Changed, Version
from gateway.daemon.service_watch import Role
from gateway.daemon.standing import Standing
from gateway.daemon.version_maker import VersionMaker
from gateway.errors import ConfigError, GatewayError, LoadFailed, LostRace, PipelineMisfit
from gateway.inference.choosing import Chooser
from gateway.inference.dataplane import DataPlane
from gateway.inference.loaded import LoadSpec
from gateway.inference.observer import SchedulerObserver
from gateway.inference.pool import MakeBody, process_body
from gateway.inference.proof_cache import ProofCache
from gateway.inference.proven import Proof, ProofBudgets
from gateway.inference.scheduler import Scheduler

_DRAIN_S = 3.0
_ON_DEMAND = "on_demand"


def _as_configured(_name: str) -> str | None:
    return None


class Catalog:
    """Proves, starts, swaps and ends model versions.

    Attributes:
        status: What is known of each configured model.
        versions: What serves, by model; a live view.
        standing: What serves and what rests.
        maker: Makes versions.
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
        self.standing = Standing(dataplane)
        self.status, self.versions = self.standing.status, self.standing.versions
        self.maker = VersionMaker(backends, observer, make_body)
        self._dataplane = dataplane
        self._observer = observer
        self._loaded = loaded
        self._folder_of = folder_of
        self._changing = asyncio.Lock()

    @property
    def chooser(self) -> Chooser:
        """What proves on which backend a model runs."""
        return self.maker.chooser

    async def start(self, settings: Settings) -> None:
        """Prove and start every model that is not loaded on demand; one that fails leaves the others alone.

        Raises:
            ConfigError: Pipelines do not fit their models; nothing is left running.
        """
        for name, rest in self._resting_in(settings).items():
            self.standing.rest(name, rest)
        resting = self.standing.resting
        wanted = {n: plan for n, plan in (await self._wanted(settings)).items() if n not in resting}
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
        plans, rested = self.standing.plans, self.standing.resting
        wanted = await self._wanted(settings)
        hopeless = {
            name
            for name, plan in wanted.items()
            if self.status.get(name, _UNKNOWN).state is ModelState.FAILED and plans.get(name) == plan
        }
        serving = {n: p for n, p in plans.items() if self.status[n].state is ModelState.SERVING}
        resting = self._resting_in(settings)
        kinds = changes(serving, {n: p for n, p in wanted.items() if n not in hopeless | resting.keys()})
        mended = {n for n in resting if plans.get(n, wanted[n]) != wanted[n]}
        kinds.update(dict.fromkeys((resting.keys() - rested.keys()) | mended, ChangeKind.REST))
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
        version = self.maker.make(name, plan, (await self.maker.choose(plan)).spec)
        version.scheduler.pool.wanted = lanes or self.lanes_of(name) or plan.lanes
        await version.scheduler.start(gently=gently)
        return version

    async def plan_of(self, name: str, folder: str, settings: Settings) -> ModelPlan:
        """Return how a version in ``folder`` would serve a model as it is configured now."""
        return await self.maker.plan_of(name, folder, settings)

    def folder_of(self, name: str, settings: Settings) -> str:
        """Return the folder from which a model is to serve: its release's, else the configured one."""
        return self._folder_of(name) or settings.models[name].path

    async def exchange(self, version: Version, settings: Callable[[], Settings]) -> Version | None:
        """Let a candidate take all new requests of its model; return what served before: drain it.

        The exchange happens between two requests, in one turn of the event loop. ``settings`` is asked
        once no change is under way any more.

        Raises:
            LostRace: The configuration of the model changed since the candidate was started.
        """
        async with self._changing:
            await self._check_plan(version, settings())
            return self.standing.serve(version)

    async def serve_in_place_of(
        self, was: Version | None, version: Version, settings: Callable[[], Settings]
    ) -> None:
        """Let a candidate take all new requests, if what served when it was started serves still.

        What served before is drained, or goes on beside it.

        Raises:
            LostRace: Something else serves now, or the configuration of the model changed.
        """
        async with self._changing:
            await self._check_plan(version, settings())
            if self.versions.get(version.name) is not was:
                raise LostRace(f"model {version.name}: another version serves since its load began")
            old = self.standing.serve(version)
        if old is not None:
            self.standing.spawn(self.drain([old.scheduler]))

    async def unload(self, name: str, rest: Rest, drain_s: float = _DRAIN_S) -> bool:
        """Let a model finish what it holds, end its lanes, keep it known; return whether it served."""
        async with self._changing:
            version = self.standing.rest(name, rest)
        if version is None:
            return False
        await asyncio.shield(self.standing.spawn(self.standing.ended(version, rest, drain_s)))
        return True

    def unload_idle(self, name: str) -> bool:
        """Unload a model that is loaded on demand, at once, unless it is in use or being changed."""
        version = self.versions.get(name)
        if version is None or not version.is_idle or self._changing.locked():
            return False
        self.standing.rest(name, Rest.REQUEST)
        self.standing.spawn(self.standing.ended(version, Rest.REQUEST, 0.0))
        return True

    async def exchange_cold(self, name: str, folder: str, settings: Callable[[], Settings]) -> None:
        """End what serves a model, then start another version: where both do not fit into memory.

        Raises:
            GatewayError: The other version does not start; what served before serves again.
        """
        async with self._changing:
            old = self.versions.pop(name, None)
            self.standing.note(name, ModelState.STARTING, "another version takes its place")
            if old is not None:
                old.watch.role = Role.PAST
                await old.scheduler.drain(time.monotonic() + _DRAIN_S)
            try:
                self.standing.serve(await self.candidate(name, folder, settings(), gently=False))
            except GatewayError:
                if old is not None:
                    again = self.maker.make(name, old.plan, old.scheduler.pool.spec)
                    await again.scheduler.start()
                    self.standing.serve(again)
                raise

    async def drain(self, ending: Iterable[Scheduler]) -> None:
        """Let schedulers that serve no longer finish what they hold, for a few seconds."""
        await self.standing.drain(ending)

    async def close(self, deadline_s: float) -> None:
        """Let requests finish until ``deadline_s``, then end every worker."""
        await self.standing.close(deadline_s)

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
        return await self.maker.prove_release(await self.plan_of(name, folder, settings), budgets)

    def out_of_service(self, name: str, reason: str) -> None:
        """Note that a model's workers died too often."""
        self.status[name] = ModelStatus(ModelState.OUT_OF_SERVICE, reason)

    def lanes_of(self, name: str) -> int:
        """Return how many lanes a model has now, or is to have; 0 if it does not serve."""
        version = self.versions.get(name)
        return version.scheduler.pool.wanted if version is not None else 0

    async def _wanted(self, settings: Settings) -> dict[str, ModelPlan]:
        """Return the plans of all models, with what lies in their folders now."""
        folders = {name: self.folder_of(name, settings) for name in settings.models}
        return await self.maker.plans(folders, settings)

    def _resting_in(self, settings: Settings) -> dict[str, Rest]:
        """Return the models that do not serve under these settings until something wakes them."""
        on_demand = {n for n, m in settings.models.items() if m.load == _ON_DEMAND and n not in self.versions}
        ordered = {
            n for n, rest in self.standing.resting.items() if rest is Rest.ORDER and n in settings.models
        }
        return {**dict.fromkeys(on_demand, Rest.REQUEST), **dict.fromkeys(ordered, Rest.ORDER)}

    async def _check_plan(self, version: Version, settings: Settings) -> None:
        if version.plan != await self.plan_of(version.name, version.plan.spec.folder, settings):
            raise LostRace(f"model {version.name}: its configuration changed; start the candidate anew")

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
                started[name] = self.maker.make(name, wanted[name], spec)
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
                ending.append(self.standing.remove(name))
                continue
            if kind is ChangeKind.REST:
                self.standing.rest(name, Rest.REQUEST)
                continue
            self.standing.plans[name] = wanted[name]
            if kind is ChangeKind.REPLACE:
                old = self.standing.serve(started[name])
                ending.append(old.scheduler if old else None)
            elif (version := self.versions.get(name)) is not None:
                if version.plan.lanes != wanted[name].lanes:
                    version.scheduler.pool.resize(wanted[name].lanes)
                version.plan = wanted[name]
        return tuple(scheduler for scheduler in ending if scheduler is not None)

    async def _start_one(self, name: str, plan: ModelPlan) -> ConfigIssue | None:
        """Start one model; return the issue if its pipelines do not fit it."""
        self.standing.plans[name] = plan
        try:
            self.standing.note(name, ModelState.PROVING, "it is being proven")
            spec = await self._prove(plan)
            self.standing.note(name, ModelState.STARTING, "its workers are starting")
            version = self.maker.make(name, plan, spec)
            await version.scheduler.start()
        except PipelineMisfit as error:
            return self._issue(error)
        except GatewayError as error:
            self.standing.note(name, ModelState.FAILED, error.message)
            self._observer.out_of_service(name, error)
            self.status[name] = ModelStatus(ModelState.FAILED, error.message)
            return None
        self.standing.serve(version)
        return None

    async def _prove(self, plan: ModelPlan) -> LoadSpec:
        """Return what lanes are to load: what holds on this board."""
        return (await self.maker.choose(plan)).spec

    def _runs_as(self, name: str, spec: LoadSpec) -> bool:
        return replace(self._dataplane.serving[name].pool.spec, pipelines=()) == replace(spec, pipelines=())

    def _issue(self, error: PipelineMisfit) -> ConfigIssue:
        return self._loaded.positions.issue(error.step, error.reason)


_UNKNOWN = ModelStatus(ModelState.PROVING)


async def _close(versions: Iterable[Version]) -> None:
    await asyncio.gather(*(version.scheduler.close() for version in versions))
