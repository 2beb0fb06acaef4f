"""What serves each model now and why others do not: every change here is one turn of the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from gateway.daemon.model_plan import ModelPlan
from gateway.daemon.model_state import ModelState, ModelStatus, Rest
from gateway.daemon.model_version import Version
from gateway.daemon.service_watch import Role
from gateway.inference.dataplane import DataPlane
from gateway.inference.scheduler import Scheduler

_DRAIN_S = 3.0
_WHY = {
    Rest.REQUEST: "not loaded; its first request loads it",
    Rest.ORDER: "unloaded by order; load it to use it",
}


def _nobody() -> None:
    """Stand in for who is told."""


def _none(_version: Version) -> bool:
    return False


class Standing:
    """The models that are known, and the versions that serve them.

    Attributes:
        status: What is known of each configured model.
        versions: What serves, by model.
        resting: Models that are known and not to serve until something wakes them.
        plans: Of every model that serves or failed.
        on_change: Told when something else serves, or no longer.
        adopt: Asked whether a version that serves no longer goes on beside the new one.
    """

    def __init__(self, dataplane: DataPlane) -> None:
        self.status: dict[str, ModelStatus] = {}
        self.versions: dict[str, Version] = {}
        self.resting: dict[str, Rest] = {}
        self.plans: dict[str, ModelPlan] = {}
        self.on_change: Callable[[], None] = _nobody
        self.adopt: Callable[[Version], bool] = _none
        self._dataplane = dataplane
        self._ending: set[asyncio.Task[None]] = set()

    def serve(self, version: Version) -> Version | None:
        """Let a version serve; return the one that did before, if it is to end."""
        name = version.name
        old = self.versions.get(name)
        version.watch.role = Role.SERVING
        version.since_s = time.monotonic()
        self.versions[name] = version
        self.plans[name] = version.plan
        self.resting.pop(name, None)
        self.status[name] = ModelStatus(ModelState.SERVING)
        self._dataplane.serve(name, version.scheduler)
        if old is not None:
            old.watch.role = Role.PAST
            if self.adopt(old):
                old = None
        self.on_change()
        return old

    def note(self, name: str, state: ModelState, reason: str) -> None:
        """Note why a model does not serve."""
        self.status[name] = ModelStatus(state, reason)
        self._dataplane.withdraw(name, reason, wakes=self.resting.get(name) is Rest.REQUEST)

    def note_load(self, name: str, state: ModelState, reason: str, failed: ModelPlan | None = None) -> None:
        """Note how the load of a model that does not serve goes; its plan if it failed."""
        if name in self.status and name not in self.versions:
            self.note(name, state, reason)
            if failed is not None:
                self.plans[name] = failed

    def rest(self, name: str, rest: Rest) -> Version | None:
        """Let a model take no more requests until something wakes it; return what served it: end that."""
        version = self.versions.pop(name, None)
        self.resting[name] = rest
        self.plans.pop(name, None)
        self.note(name, rest.value, _WHY[rest])
        if version is not None:
            version.watch.role = Role.PAST
            self.status[name] = ModelStatus(ModelState.UNLOADING, "it finishes what it holds")
            self.on_change()
        return version

    def remove(self, name: str) -> Scheduler | None:
        """Forget a model; return what served it: drain it."""
        for known in (self.plans, self.status, self.versions, self.resting):
            known.pop(name, None)
        return self._dataplane.withdraw(name)

    async def ended(self, version: Version, rest: Rest, drain_s: float) -> None:
        """End a version that rests; say so unless something else has happened meanwhile."""
        unloading = self.status[version.name]
        await version.scheduler.drain(time.monotonic() + drain_s)
        if self.status.get(version.name) is unloading:
            self.status[version.name] = ModelStatus(rest.value, _WHY[rest])
            self.on_change()

    async def drain(self, ending: Iterable[Scheduler]) -> None:
        """Let schedulers that serve no longer finish what they hold, for a few seconds."""
        deadline_s = time.monotonic() + _DRAIN_S
        await asyncio.gather(*(scheduler.drain(deadline_s) for scheduler in ending))

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do work that ends lanes, whoever waits for it."""
        task = asyncio.get_running_loop().create_task(work, name="catalog.ending")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return task

    async def close(self, deadline_s: float) -> None:
        """Let requests finish until ``deadline_s``, then end every worker."""
        schedulers = [self._dataplane.withdraw(name, "the gateway is stopping") for name in self.status]
        self.plans.clear()
        self.versions.clear()
        await asyncio.gather(*(s.drain(deadline_s) for s in schedulers if s is not None), *self._ending)
