"""Loads models that do not serve yet, and those that serve anew; unloads those that are loaded on demand.

One load serves all who wait for it, and goes on when they give up. What is loaded is
proven and warm before it serves, beside whatever serves.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

from gateway.configuration.settings import Settings
from gateway.daemon.catalog import Catalog
from gateway.daemon.model_plan import ModelPlan
from gateway.daemon.model_state import ModelState, Rest
from gateway.daemon.model_version import Version
from gateway.daemon.room import Room
from gateway.daemon.stored_releases import Releases
from gateway.errors import (
    DeadlineQueued,
    Draining,
    EngineFailed,
    GatewayError,
    LostRace,
    NotReady,
    OutOfMemory,
    Overloaded,
    UnknownModel,
)
from gateway.inference.choosing import Choice
from gateway.operations.log import log
from gateway.operations.metrics import Metrics
from gateway.scaling.unloading import OnDemand

_MOST_RACES: Final = 5
_LEAST_PAUSE_S: Final = 1.0
_MOST_PAUSE_S: Final = 60.0
_DRAIN_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class _Failure:
    message: str
    pause_s: float
    until_s: float


class Loading:
    """Everything that loads a model but the configuration and updates; lives in the event loop."""

    def __init__(
        self,
        catalog: Catalog,
        releases: Releases,
        settings: Callable[[], Settings],
        room: Room,
        metrics: Metrics,
    ) -> None:
        self._catalog = catalog
        self._releases = releases
        self._settings = settings
        self._room = room
        self._metrics = metrics
        self._loads: dict[str, asyncio.Task[None]] = {}
        self._waiting: Counter[str] = Counter()
        self._failed: dict[str, _Failure] = {}
        self._closed = False

    async def wake(self, model: str, deadline_s: float) -> None:
        """Have a model serve, for a request.

        Raises:
            Overloaded: As many wait for it as may be queued.
            DeadlineQueued: The deadline passed; the load goes on.
            NotReady: It failed to load only just now, or does not fit into memory.
            GatewayError: It cannot be proven or started.

        Cancel-safe: the load goes on for the others who wait.
        """
        if model in self._catalog.versions:
            return
        failed, now_s = self._failed.get(model), time.monotonic()
        if failed is not None and now_s < failed.until_s and self._stands(model, failed):
            wait_s = failed.until_s - now_s
            raise NotReady(f"model {model}: {failed.message}; tried again in {wait_s:.0f} s", model=model)
        known = self._settings().models.get(model)
        if known is None:
            raise UnknownModel(f"no model is named {model!r}", model=model)
        if self._waiting[model] >= known.max_queued_rows:
            raise Overloaded(f"model {model}: {self._waiting[model]} requests wait for it to be loaded")
        self._waiting[model] += 1
        try:
            await self._joined(self._begin(model, "request"), deadline_s)
        except DeadlineQueued:
            raise DeadlineQueued(f"the deadline passed while model {model} was being loaded") from None
        finally:
            self._waiting[model] -= 1

    async def load(self, model: str) -> None:
        """Load a model by order, or load it anew beside what serves, from where it is to serve from.

        Raises:
            NotReady: It does not fit into memory.
            LostRace: Others changed the model too often meanwhile.
            GatewayError: It cannot be proven or started; what served before serves on.

        Cancel-safe: a load that was begun goes on.
        """
        self._failed.pop(model, None)
        await self._joined(self._begin(model, "order"), float("inf"))

    async def unload(self, model: str) -> bool:
        """Let a model finish what it holds and end its lanes; return whether it served.

        One that is loaded on demand is loaded by its next request, another one by the next order.
        """
        loading = self._loads.get(model)
        if loading is not None:
            await asyncio.wait({loading})
        self._room.remember(model)
        rest = Rest.REQUEST if self._is_on_demand(model) else Rest.ORDER
        did = await self._catalog.unload(model, rest, _DRAIN_S)
        if did:
            self._unloaded(model, "order")
        return did

    def may_go(self, model: str) -> OnDemand | None:
        """Return what is known of a model that may be unloaded now; None if it may not."""
        return self._room.may_go(model)

    def room_for(self, model: str, choice: Choice, lanes: int) -> AbstractContextManager[None]:
        """Hold room in memory for lanes that start, after unloading idle models if need be.

        Raises:
            NotReady: On entering: there cannot be made enough room; nothing was unloaded.
        """
        return self._room.held(model, choice, lanes, self.unload_idle)

    def unload_idle(self, model: str, because: str) -> bool:
        """Unload a model that is loaded on demand, at once, unless it is in use or held by an update."""
        if not self._is_on_demand(model) or self._releases.busy(model):
            return False
        self._room.remember(model)
        if not self._catalog.unload_idle(model):
            return False
        self._unloaded(model, because)
        return True

    async def close(self) -> None:
        """Break off every load; who waits is told. Idempotent."""
        self._closed = True
        loads = [*self._loads.values()]
        for task in loads:
            task.cancel()
        await asyncio.gather(*loads, return_exceptions=True)

    def _is_on_demand(self, model: str) -> bool:
        known = self._settings().models.get(model)
        return known is not None and known.load == "on_demand"

    def _unloaded(self, model: str, because: str) -> None:
        self._metrics.model_loads.add(1, model, "unloaded")
        log.event("model_unloaded", model=model, because=because)

    def _begin(self, model: str, because: str) -> asyncio.Task[None]:
        """Return the load that is under way, or begin one."""
        if self._closed:
            raise Draining("the gateway is stopping")
        task = self._loads.get(model)
        if task is None:
            loading = self._load(model, because)
            task = asyncio.get_running_loop().create_task(loading, name=f"load[{model}]")
            self._loads[model] = task
            task.add_done_callback(lambda done: self._over(model, done))
        return task

    def _over(self, model: str, done: asyncio.Task[None]) -> None:
        del self._loads[model]
        if not done.cancelled():
            done.exception()  # perhaps nobody waits for it any more; it was told

    @staticmethod
    async def _joined(task: asyncio.Task[None], deadline_s: float) -> None:
        limit_s = None if deadline_s == float("inf") else max(0.0, deadline_s - time.monotonic())
        done, _ = await asyncio.wait({task}, timeout=limit_s)
        if not done:
            raise DeadlineQueued("the deadline passed")
        if task.cancelled():
            raise Draining("the gateway is stopping")
        task.result()

    async def _load(self, model: str, because: str) -> None:
        began_s = time.monotonic()
        try:
            await self._serve(model, again=because == "order")
        except GatewayError as error:
            self._note_failure(model, error)
            if _is_its_fault(error):
                await self._releases.load_failed()
            if model not in self._catalog.versions or because == "order":
                raise
        self._failed.pop(model, None)
        self._metrics.model_loads.add(1, model, "loaded")
        after_s = round(time.monotonic() - began_s, 3)
        log.event("model_loaded", model=model, because=because, after_s=after_s)

    async def _serve(self, model: str, *, again: bool) -> None:
        """Bring a model into service, whatever others change meanwhile.

        Raises:
            GatewayError: It cannot be proven or started, or others changed it too often.
        """
        for _ in range(_MOST_RACES):
            was = self._catalog.versions.get(model)
            if was is not None and not again:
                return
            settings = self._settings()
            plan = await self._catalog.plan_of(model, self._catalog.folder_of(model, settings), settings)
            try:
                version = await self._started(model, plan, was)
            except GatewayError as error:
                if was is None:
                    self._note_standing(model, error, plan)
                raise
            try:
                await self._catalog.serve_in_place_of(was, version, self._settings)
            except LostRace:
                await version.scheduler.close()
                continue
            except BaseException:
                await version.scheduler.close()
                raise
            return
        raise LostRace(f"model {model}: it was changed {_MOST_RACES} times while it was being loaded")

    async def _started(self, model: str, plan: ModelPlan, was: Version | None) -> Version:
        standing, maker = self._catalog.standing, self._catalog.maker
        standing.note_load(model, ModelState.PROVING, "it is being proven")
        choice = await maker.choose(plan)
        lanes = was.scheduler.pool.wanted if was is not None else 0
        version = maker.make(model, plan, choice.spec)
        version.scheduler.pool.wanted = lanes or plan.lanes
        with self.room_for(model, choice, lanes or plan.lanes):
            standing.note_load(model, ModelState.STARTING, "its workers are starting")
            await version.scheduler.start(gently=was is not None)
        return version

    def _note_standing(self, model: str, error: GatewayError, plan: ModelPlan) -> None:
        standing = self._catalog.standing
        rest = standing.resting.get(model)
        if rest is not None and not _is_its_fault(error):
            standing.note_load(model, rest.value, error.message)
        else:
            standing.note_load(model, ModelState.FAILED, error.message, plan)

    def _stands(self, model: str, failed: _Failure) -> bool:
        """Return whether nothing has changed since a load failed."""
        status = self._catalog.status.get(model)
        return status is not None and status.reason == failed.message

    def _note_failure(self, model: str, error: GatewayError) -> None:
        before = self._failed.get(model)
        pause_s = _LEAST_PAUSE_S if before is None else min(_MOST_PAUSE_S, 2 * before.pause_s)
        self._failed[model] = _Failure(error.message, pause_s, time.monotonic() + pause_s)
        self._metrics.model_loads.add(1, model, "failed")
        log.event("model_load_failed", model=model, reason=error.message, error=error)


def _is_its_fault(error: GatewayError) -> bool:
    """Return whether a load failed for what the model is, and not for want of memory or by others' hand."""
    return isinstance(error, EngineFailed) and not isinstance(error, OutOfMemory)
