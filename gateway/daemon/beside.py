"""Versions that serve beside those which their models' names lead to: started when wished, ended when not.

They run tensors only, no pipelines, on the lanes that the configuration gives their model.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace

from gateway.configuration.settings import Settings
from gateway.daemon.catalog import Catalog
from gateway.daemon.model_plan import ModelPlan
from gateway.daemon.model_version import Version
from gateway.daemon.service_watch import Role
from gateway.daemon.stored_releases import Releases
from gateway.errors import GatewayError, LostRace, UnknownModel
from gateway.inference.choosing import Choice
from gateway.inference.dataplane import DataPlane
from gateway.operations.log import log

Place = tuple[str, str]
# Holds room in memory for so many lanes of a model; raises ``NotReady`` where there is none.
RoomFor = Callable[[str, Choice, int], AbstractContextManager[None]]

_DRAIN_S = 30.0


def _nobody() -> None:
    """Stand in for who is told."""


class Beside:
    """The versions beside those that names lead to.

    Attributes:
        versions: By model and release number.
        trouble: Why a wished version does not serve, where it was tried.
        wished: Versions that are wished; set it, then ``settle``.
        on_lost: Told when a version's workers died too often: ``settle`` starts it anew.
    """

    def __init__(
        self,
        catalog: Catalog,
        dataplane: DataPlane,
        releases: Releases,
        settings: Callable[[], Settings],
        room_for: RoomFor,
    ) -> None:
        self.versions: dict[Place, Version] = {}
        self.trouble: dict[Place, str] = {}
        self.wished: frozenset[Place] = frozenset()
        self.on_lost: Callable[[], None] = _nobody
        self._catalog = catalog
        self._dataplane = dataplane
        self._releases = releases
        self._settings = settings
        self._room_for = room_for
        self._starting: dict[Place, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    def number_of(self, version: Version) -> str:
        """Return the number of the release that a version is of; ``0`` for the factory's."""
        return self._releases.number_of(version.name, version.plan.spec.folder)

    def number_to_come(self, model: str) -> str:
        """Return the number of the release that a model which does not serve would load."""
        return self._releases.number_of(model, self._catalog.folder_of(model, self._settings()))

    def leading(self, model: str, label: str) -> Version | None:
        """Return what a model's name leads to, if that is this release or version of its card."""
        version = self._catalog.versions.get(model)
        if version is None or not label:
            return version
        return version if label in (version.card_version, self.number_of(version)) else None

    def find(self, model: str, label: str) -> Version | None:
        """Return the version that serves under a release number or a card's version; None if none does."""
        found = self.leading(model, label) or self.versions.get((model, label))
        if found is None:
            mine = [each for (name, _), each in self.versions.items() if name == model]
            found = next((each for each in mine if each.card_version == label), None)
        return found

    def could_serve(self, model: str, label: str) -> bool:
        """Return whether a release or version of a card serves, is here, or may be what a request loads."""
        serves = not label or self.find(model, label) is not None or label in self._releases.kept(model)
        return serves or (model not in self._catalog.versions and not label.isdecimal())

    async def ensure(self, model: str, label: str) -> None:
        """Have a release serve, beside what serves if it does not lead.

        Raises:
            UnknownModel: There is no such model, or no such release here.
            GatewayError: It cannot be proven or started.

        Cancel-safe: the start goes on for others who wait.
        """
        if model not in self._settings().models:
            raise UnknownModel(f"no model is named {model!r}", model=model)
        if self.find(model, label) is not None:
            return
        place = model, label
        task = self._starting.get(place)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._start(place), name=f"beside[{model}]")
            self._starting[place] = task
            task.add_done_callback(lambda _: self._starting.pop(place, None))
        await asyncio.wait({task})
        task.result()

    def adopt(self, old: Version) -> bool:
        """Let a version that its name leads to no longer go on here, if it is wished; say whether."""
        place = old.name, self.number_of(old)
        unfit = old.watch.lost_because or self._releases.is_bad(*place)
        if unfit or not self._is_wished(place, old) or self._closed:
            return False
        if self.leading(*place) is not None or place in self.versions:
            return False
        self._put(place, old)
        return True

    async def settle(self) -> None:
        """End versions that are not wished any more, or whose name leads to them now; renew changed ones."""
        models = self._settings().models
        for place, version in [*self.versions.items()]:
            model, label = place
            gone = model not in models or self._releases.is_bad(model, label)
            gone = gone or not self._is_wished(place, version)
            if gone or self.leading(model, label) is not None:
                self._end(place)
            elif version.watch.lost_because or version.plan != await self._plan(place, version):
                try:
                    await self._renew(place)
                except GatewayError as error:
                    self._note_trouble(place, error)
        self.trouble = {place: why for place, why in self.trouble.items() if place in self.wished}

    async def close(self, deadline_s: float) -> None:
        """End everything; requests finish until ``deadline_s``. Idempotent."""
        self._closed = True
        starting = [*self._starting.values()]
        for task in starting:
            task.cancel()
        await asyncio.gather(*starting, return_exceptions=True)
        for place in [*self.versions]:
            self._end(place, max(0.0, deadline_s - time.monotonic()))
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _is_wished(self, place: Place, version: Version) -> bool:
        return not self.wished.isdisjoint({place, (place[0], version.card_version)})

    async def _start(self, place: Place) -> None:
        try:
            await self._renew(place)
        except GatewayError as error:
            self._note_trouble(place, error)
            raise

    async def _renew(self, place: Place) -> None:
        """Start a version beside, and end the one that was there.

        Raises:
            GatewayError: It cannot be proven or started; the one that was there goes on.
        """
        version = await self._started(place)
        settings = self._settings()
        if place[0] not in settings.models or version.plan != await self._plan(place, version):
            await version.scheduler.close()
            raise LostRace(f"model {place[0]}: its configuration changed while release {place[1]} started")
        if self.leading(*place) is not None or self._closed:
            await version.scheduler.close()
            return
        old = self.versions.get(place)
        self._put(place, version)
        if old is not None:
            self._drain(old, _DRAIN_S)

    async def _started(self, place: Place) -> Version:
        model, number = place
        folder = await self._releases.folder(model, number)
        maker = self._catalog.maker
        plan = _plain(await maker.plan_of(model, folder, self._settings()))
        choice = await maker.choose(plan)
        version = maker.make(model, plan, choice.spec)
        with self._room_for(model, choice, plan.lanes):
            await version.scheduler.start(gently=True)
        return version

    async def _plan(self, place: Place, version: Version) -> ModelPlan:
        plan = await self._catalog.maker.plan_of(place[0], version.plan.spec.folder, self._settings())
        pipelines = version.plan.spec.pipelines  # one that led before may keep them
        return replace(_plain(plan), spec=replace(plan.spec, pipelines=pipelines))

    def _put(self, place: Place, version: Version) -> None:
        version.watch.role = Role.BESIDE
        version.watch.on_lost = lambda _reason: self.on_lost()
        version.since_s = version.since_s or time.monotonic()
        self.versions[place] = version
        self.trouble.pop(place, None)
        self._dataplane.serve_beside(*place, version.scheduler)
        log.event("version_beside", model=place[0], release=place[1], serves=True)

    def _end(self, place: Place, drain_s: float = _DRAIN_S) -> None:
        self._dataplane.serve_beside(*place, None)
        version = self.versions.pop(place)
        version.watch.role = Role.PAST
        self._drain(version, drain_s)
        log.event("version_beside", model=place[0], release=place[1], serves=False)

    def _drain(self, version: Version, drain_s: float) -> None:
        draining = version.scheduler.drain(time.monotonic() + drain_s)
        task = asyncio.get_running_loop().create_task(draining, name=f"beside.ending[{version.name}]")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _note_trouble(self, place: Place, error: GatewayError) -> None:
        if self.trouble.get(place) != error.message:
            self.trouble[place] = error.message
            log.event("version_trouble", model=place[0], release=place[1], reason=error.message, error=error)


def numbers_beside(versions: Mapping[Place, Version], model: str) -> tuple[str, ...]:
    """Return the release numbers that serve beside what a model's name leads to, in order."""
    return tuple(sorted((number for name, number in versions if name == model), key=int))


def _plain(plan: ModelPlan) -> ModelPlan:
    return replace(plan, spec=replace(plan.spec, pipelines=()))
