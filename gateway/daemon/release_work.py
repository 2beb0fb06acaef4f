"""What a rollout does to one model, a thing at a time: prove, shadow, switch, go back, watch."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

from gateway.daemon.bake_watch import BakeWatch
from gateway.daemon.model_version import Version
from gateway.daemon.rollout_ports import RolloutPorts
from gateway.daemon.shadow_run import ShadowRun
from gateway.errors import (
    CardMismatch,
    GatewayBug,
    GatewayError,
    IllegalTransition,
    LostRace,
    OutOfMemory,
    PipelineMisfit,
    ReleaseIncompatible,
    ShadowFailed,
    StoreFailed,
    ValidationFailed,
)
from gateway.inference.proven import Proof, ProofBudgets
from gateway.operations.log import log
from gateway.operations.memory import available_bytes
from gateway.updates.assignment import Wish
from gateway.updates.bake import Summary, gates
from gateway.updates.manifest import read_manifest
from gateway.updates.memory_plan import Cold, Hot, LaneCost, plan
from gateway.updates.release import Release, ReleaseRef
from gateway.updates.rollout_actions import Action, Bake, Shadow, Switch, SwitchBack, Validate
from gateway.updates.rollout_events import (
    ActiveBad,
    Agreed,
    Event,
    Failed,
    Hindered,
    Proven,
    Switched,
)
from gateway.updates.shadow import ShadowGates, ShadowTally, ShadowVerdict

_MOST_EXCHANGES = 5
_SHADOW_LANES = 1
_DRAIN_S = 30.0
_LAST_DRAIN_S = 1.5

Feed = Callable[[Event], Awaitable[None]]


class ReleaseWork:
    """The work on one model's releases; at most one thing runs, and a way back is never cut short by others.

    Attributes:
        baked: Whether a bake has passed and only waits for its mates.
    """

    def __init__(self, model: str, ports: RolloutPorts, feed: Feed) -> None:
        self._model = model
        self._ports = ports
        self._feed = feed
        self._task: asyncio.Task[None] | None = None
        self._way_back: asyncio.Task[None] | None = None
        self._draining: set[asyncio.Task[None]] = set()
        self.baked = False
        self._proof: Proof | None = None
        self._proof_folder = ""
        self._files_bytes = 0
        self._before: Summary | None = None

    def begin(self, action: Action, wish: Wish | None, reason: str) -> None:
        """Begin one thing; what ran before ends.

        Args:
            action: What to do.
            wish: How the release is wished; None if that is not known.
            reason: Why, for the log.

        Raises:
            IllegalTransition: The action is no work.
        """
        work: Callable[[], Coroutine[Any, Any, None]]
        match action:
            case Validate(ref):
                work = partial(self.validate, ref)
            case Shadow(ref, frames):
                work = partial(self.shadow, ref, frames, wish.shadow_agreement if wish else 1.0)
            case Switch(to, _):
                work = partial(self.switch, to)
            case SwitchBack(before, _):
                work = partial(self.switch_back, before, reason)
            case Bake(ref, baked_s, requests):
                work = partial(self.bake, ref, (baked_s, requests), wish.bake_s if wish else None)
            case _:
                raise IllegalTransition(f"model {self._model}: {type(action).__name__} is no work")
        self._drop_work()
        loop = asyncio.get_running_loop()
        if isinstance(action, SwitchBack):
            self._drop(self._way_back)
            task = loop.create_task(self._guarded(action, work, None), name=f"way back[{self._model}]")
            self._way_back = task
            return
        doing = self._guarded(action, work, self._way_back)
        self._task = loop.create_task(doing, name=f"release[{self._model}]")

    async def cancel(self) -> None:
        """End what runs for a candidate, and wait for its end; does nothing in the very thing that ends.

        A way back goes on: it is no candidate's, and what serves until it is done is known to be bad.
        """
        task = self._drop_work()
        if task is not None:
            await asyncio.wait({task})

    async def ended(self) -> None:
        """Wait until what runs has ended, and what it began."""
        while running := [t for t in (self._task, self._way_back) if t is not None and not t.done()]:
            await asyncio.wait(running)

    async def drained(self) -> None:
        """Give versions that serve no longer a moment, then end them."""
        draining = tuple(self._draining)
        if draining:
            await asyncio.wait(draining, timeout=_LAST_DRAIN_S)
        for task in draining:
            task.cancel()
        await asyncio.gather(*draining, return_exceptions=True)

    def interrupt(self) -> None:
        """Let nothing go any further, in this very turn of the event loop; ``ended`` waits for its end."""
        for task in (self._task, self._way_back):
            self._drop(task)

    def _drop_work(self) -> asyncio.Task[None] | None:
        task, self._task = self._task, None
        return self._drop(task)

    @staticmethod
    def _drop(task: asyncio.Task[None] | None) -> asyncio.Task[None] | None:
        """Let a task go no further; return it if it is still to end, and is not the caller itself."""
        if task is None or task.done() or task is asyncio.current_task():
            return None
        task.cancel()
        return task

    async def _guarded(
        self, action: Action, work: Callable[[], Coroutine[Any, Any, None]], first: asyncio.Task[None] | None
    ) -> None:
        try:
            if first is not None and not first.done():
                await asyncio.wait({first})
            await work()
        except Exception as error:  # noqa: BLE001 - a bug in one model's update is not the gateway's end
            log.event("task_failed", task=f"release of {self._model}", error=error)
            await self._feed(_instead(action, error))

    # The things.

    async def validate(self, ref: ReleaseRef) -> None:
        """Try a release in a throw-away process."""
        store, catalog = self._ports.store, self._ports.catalog
        try:
            await asyncio.to_thread(store.verify, self._model, ref)
            manifest = await asyncio.to_thread(store.manifest, self._model, ref.number)
            release = read_manifest(manifest)
            folder = str(store.release_folder(self._model, ref.number))
            settings = self._ports.settings()
            budgets = release.budgets
            self._proof_folder = folder
            self._files_bytes = release.size_bytes
            self._proof = await catalog.prove_release(
                self._model,
                folder,
                settings,
                ProofBudgets(budgets.load_s, budgets.p99_ms, budgets.memory_bytes),
            )
            _check_mapped(self._proof, release)
        except StoreFailed as error:
            await self._feed(hindered(ref, error))
        except PipelineMisfit as error:
            reason = f"does not fit the pipelines that run here: {error.message}"
            await self._feed(Failed(ref, ReleaseIncompatible.label, reason, _now()))
        except GatewayError as error:
            if isinstance(error, OutOfMemory) and error.attributes.get("stage") == "start":
                await self._feed(hindered(ref, error))  # no process can be started: not its fault
                return
            stage = error.attributes.get("stage", "")
            reason = f"{stage}: {error.message}" if stage else error.message
            await self._feed(Failed(ref, ValidationFailed.label, reason, _now()))
        else:
            await self._feed(Proven(ref))

    async def shadow(self, ref: ReleaseRef, frames: int, least_agreement: float) -> None:
        """Run a candidate beside what serves."""
        limits = ShadowGates(frames, least_agreement)
        verdict: ShadowVerdict | None = None
        try:
            while verdict is None:
                verdict = await self._shadow_once(ref, limits)
        except ShadowFailed as error:
            await self._feed(hindered(ref, error))
        except GatewayError as error:
            await self._feed(Failed(ref, ShadowFailed.label, error.message, _now()))
        else:
            words = verdict.words
            await self._feed(
                Agreed(ref) if verdict.passed else Failed(ref, ShadowFailed.label, words, _now())
            )

    async def _shadow_once(self, ref: ReleaseRef, limits: ShadowGates) -> ShadowVerdict | None:
        """Return what a shadow run says; None if a reload made it a comparison of unlike things.

        Raises:
            ShadowFailed: Too few frames came.
            GatewayError: The candidate does not start.
        """
        ports, settings = self._ports, self._ports.settings()
        folder = str(ports.store.release_folder(self._model, ref.number))
        version = await ports.catalog.candidate(self._model, folder, settings, lanes=_SHADOW_LANES)
        try:
            run = ShadowRun(ports.dataplane, version, ShadowTally(limits))
            verdict = await run.verdict(settings.updates.bake.max_seconds)
        finally:
            await version.scheduler.close()
        now = await ports.catalog.plan_of(self._model, folder, ports.settings())
        return verdict if now.spec == version.plan.spec else None

    async def switch(self, to: ReleaseRef) -> None:
        """Let a release answer in place of what does now."""
        folder = str(self._ports.store.release_folder(self._model, to.number))
        self.baked = False
        try:
            await self._exchange(folder, to.number, "switched")
        except GatewayError as error:
            await self._feed(Failed(to, error.label, f"its lanes did not start: {error.message}", _now()))
        else:
            await self._feed(Switched(to))

    async def switch_back(self, to: ReleaseRef | None, reason: str) -> None:
        """Let what served before answer again."""
        ports, settings = self._ports, self._ports.settings()
        try:
            if to is None:
                folder = settings.models[self._model].path
            else:
                await asyncio.to_thread(ports.store.verify, self._model, to)
                folder = str(ports.store.release_folder(self._model, to.number))
            serving = ports.catalog.versions.get(self._model)
            if serving is None or serving.plan.spec.folder != folder or serving.watch.lost_because:
                await self._exchange(folder, to.number if to else 0, reason)
        except GatewayError as error:
            await self._feed(ActiveBad(to, error.label, error.message, _now()))

    async def bake(self, ref: ReleaseRef, done: tuple[float, int], bake_s: float | None) -> None:
        """Watch a release that serves until it is committed or sent back.

        Args:
            ref: The release.
            done: Seconds and requests that count already.
            bake_s: Length of the bake as assigned; None for the board's own.
        """
        self.baked = False
        settings = self._ports.settings()
        limits = gates(settings.updates.bake, bake_s, await self._p99_budget_ms(ref))
        watch = BakeWatch(self._model, self._ports, limits, self._before)
        try:
            async for event in watch.events(ref, done, self._may_pass):
                await self._feed(event)
        finally:
            self.baked = False

    def _may_pass(self) -> bool:
        """Note that the bake has passed; say whether it may be committed."""
        if not self.baked:
            self.baked = True
            self._ports.consider()
        told = self._ports.connected() or not self._ports.settings().updates.report_before_commit
        return told and self._ports.may_commit(self._model)

    async def _p99_budget_ms(self, ref: ReleaseRef) -> float:
        """Return what a release declares; 0 if its manifest cannot be read now."""
        try:
            manifest = await asyncio.to_thread(self._ports.store.manifest, self._model, ref.number)
            return read_manifest(manifest).budgets.p99_ms
        except GatewayError:
            return 0.0

    # How versions change places.

    async def _exchange(self, folder: str, number: int, reason: str) -> None:
        """Let what lies in ``folder`` serve: started beside the old, or after it where memory is short.

        Raises:
            GatewayError: It does not start; what served before goes on.
        """
        ports = self._ports
        serving = ports.catalog.versions.get(self._model)
        was = serving.plan.spec.folder if serving else ""
        how = "hot"
        self._before = serving.watch.window.summary() if serving else None
        if serving is None:
            await ports.catalog.start_at(self._model, folder, ports.settings)
        elif isinstance(found := self._memory_plan(folder), Cold):
            how = f"cold: {found.reason}"
            await ports.catalog.exchange_cold(self._model, folder, ports.settings)
        else:
            await self._exchange_hot(folder)
        log.event("release_switched", model=self._model, release=number, was=was, how=how, reason=reason)
        ports.changed()

    async def _exchange_hot(self, folder: str) -> None:
        ports = self._ports
        for _ in range(_MOST_EXCHANGES):
            version = await ports.catalog.candidate(self._model, folder, ports.settings())
            try:
                old = await ports.catalog.exchange(version, ports.settings)
            except LostRace:  # the configuration was reloaded meanwhile: start it as it is now
                await version.scheduler.close()
                continue
            except BaseException:
                await version.scheduler.close()
                raise
            if old is not None:
                self._before = old.watch.window.summary()
                self._drain(old)
            return
        raise LostRace(f"model {self._model}: its configuration changed {_MOST_EXCHANGES} times meanwhile")

    def _memory_plan(self, folder: str) -> Hot | Cold:
        """Decide from what the validation measured whether old and new fit side by side."""
        settings = self._ports.settings()
        if self._proof is None or self._proof_folder != folder:
            return Hot(0)
        cost = LaneCost(self._proof.memory_bytes, self._files_bytes)
        reserve_bytes = settings.updates.memory_reserve_bytes
        return plan(available_bytes(), reserve_bytes, cost, settings.models[self._model].lanes)

    def _drain(self, old: Version) -> None:
        """Let a version that serves no longer finish what it holds: every request has a deadline."""

        async def drain() -> None:
            await old.scheduler.drain(time.monotonic() + _DRAIN_S)

        task = asyncio.get_running_loop().create_task(drain(), name=f"drain[{self._model}]")
        self._draining.add(task)
        task.add_done_callback(self._draining.discard)


def hindered(ref: ReleaseRef, error: GatewayError, *, permanent: bool = False) -> Hindered:
    """Return the event for what keeps a candidate from going on."""
    return Hindered(ref, error.label, error.message, _now(), random.random(), permanent)


def _check_mapped(proof: Proof, release: Release) -> None:
    """See that what the runtime was given are bytes of the release, and no others.

    Raises:
        CardMismatch: Something else was loaded.
    """
    signed = {file.blob.sha256 for file in release.files}
    for name, digest in (("the model file", proof.mapped), *proof.weights):
        if digest not in signed:
            raise CardMismatch(f"{name}: sha256 {digest} is none of the release's files", stage="load")


def _instead(action: Action, error: Exception) -> Event:
    """Return the answer of work that ended by a bug: no rollout waits for ever."""
    what = f"{type(action).__name__}: {type(error).__name__}: {error}"
    match action:
        case Bake(ref, _, _) | Switch(ref, _):
            return Failed(ref, GatewayBug.label, what, _now())
        case SwitchBack(to, _):
            return ActiveBad(to, GatewayBug.label, what, _now())
        case Validate(ref) | Shadow(ref, _):
            return Hindered(ref, GatewayBug.label, what, _now(), random.random())
    raise error


def _now() -> int:
    return int(time.time())
