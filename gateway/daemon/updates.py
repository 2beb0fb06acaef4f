"""Model updates of one gateway as a resource: store, rollouts, looks, turns, topics, reports."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from gateway.configuration.settings import Settings, UpdateSettings
from gateway.daemon.board import hardware_names
from gateway.daemon.catalog import Catalog
from gateway.daemon.kept_releases import kept_folders
from gateway.daemon.model_rollout import ModelRollout
from gateway.daemon.model_state import ModelState, Rest
from gateway.daemon.rollout_ports import RolloutPorts
from gateway.daemon.update_board import UpdateBoard
from gateway.daemon.update_looks import START, Looks
from gateway.daemon.update_options import updater_options
from gateway.daemon.update_orders import Orders
from gateway.daemon.update_report import Standing, release_in, report
from gateway.daemon.update_topics import Doorbell, UpdateTopics
from gateway.daemon.update_turns import Turns
from gateway.errors import GatewayError, StoreBusy
from gateway.inference.dataplane import DataPlane
from gateway.mqtt.link import Link
from gateway.mqtt.wait import done_by
from gateway.operations.health import Health
from gateway.operations.log import log
from gateway.operations.metrics import Metrics
from gateway.updates.manifest import read_manifest
from gateway.updates.release import Release
from gateway.updates.reported import Disk, Reported, reported_bytes
from gateway.updates.rollout_events import ActiveBad, Stopped
from gateway.updates.rollout_step import Rules
from gateway.updates.store.layout import store_folder
from gateway.updates.store.pause import is_paused
from gateway.updates.store.store import Store

_REPORT_PAUSE_S = 0.1
_REPORT_AGAIN_S = 15.0
_STOP_LIMIT_S = 2.0
_BUSY_LIMIT_S = 5.0
_BUSY_AGAIN_S = 0.2


class Updates:
    """The model updates of one gateway.

    Made before anything serves; ``boot`` says from which folders models are to be
    served, ``begin`` starts to look for new ones.

    Attributes:
        board: What is known; None if updates are off and there never were any.
        store: The model store; None if it is not used.
        disk: Room for releases, as it was at the last report.
        named: Returns the releases that aliases name: they are kept.
    """

    def __init__(
        self, settings: Callable[[], Settings], gateway: str, house: tuple[DataPlane, Metrics, Health]
    ) -> None:
        self.board: UpdateBoard | None = None
        self.store: Store | None = None
        self.disk = Disk()
        self.named: Callable[[], Iterable[tuple[str, int]]] = tuple
        self._settings = settings
        self._gateway = gateway
        self._dataplane, self._metrics, self._health = house
        self._catalog: Catalog | None = None
        self._ports: RolloutPorts | None = None
        self._topics: UpdateTopics | None = None
        self._link: Link | None = None
        self._turns: Turns | None = None
        self._orders: Orders | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._reporting: asyncio.Task[None] | None = None
        self._reported: bytes = b""
        self._kept: dict[str, str] = {}  # folders of releases, where the store cannot be opened
        self._looks: Looks | None = None

    @property
    def enabled(self) -> bool:
        """Whether new releases are looked for."""
        updates = self._settings().updates
        return bool(updates.repository or updates.inbox_dir)

    def folder_of(self, model: str) -> str | None:
        """Return the folder of the release that a model serves; None for the configured one."""
        rollout = self.board.rollouts.get(model) if self.board else None
        return rollout.folder if rollout else self._kept.get(model)

    async def boot(self, catalog: Catalog) -> None:
        """Open the store and find out what each model serves; nothing is loaded yet.

        Never raises for what the disk does: then what the configuration names serves.
        """
        settings = self._settings()
        folder = store_folder(settings, os.environ)
        if not self.enabled and not (folder / "state").is_dir():
            return
        self._catalog = catalog
        updates = settings.updates
        try:
            self.store = await _open(folder, updates)
        except GatewayError as error:
            log.event("updates_off", reason=error.message, error=error)
            self._kept = await asyncio.to_thread(kept_folders, folder, sorted(settings.models))
            return
        device = updates.device or self._gateway
        self.board = UpdateBoard(device, (*hardware_names(), *updates.hardware), updates)
        self.board.paused = is_paused(self.store.layout)
        self._ports = RolloutPorts(
            store=self.store,
            catalog=catalog,
            dataplane=self._dataplane,
            metrics=self._metrics,
            settings=self._settings,
            tell=self._tell,
            changed=self._changed,
            consider=self._consider,
            connected=lambda: self._link is not None and self._link.control.connected,
            spare=self._spare,
            may_commit=self.board.may_commit,
            is_unloaded=lambda model: catalog.standing.resting.get(model) is Rest.ORDER,
        )
        await self.prepare(settings)

    async def prepare(self, settings: Settings) -> None:
        """Take in the models of a configuration before they are loaded."""
        if self.board is None or self._ports is None or self.store is None:
            return
        board = self.board
        rules = Rules(max_boots=settings.updates.bake.max_boots)
        for name in settings.models:
            if name in board.rollouts:
                continue
            try:
                record = await asyncio.to_thread(self.store.record, name)
            except GatewayError as error:
                log.event("store_failed", what=f"record of {name}", error=error)
                continue
            rollout = board.rollouts[name] = ModelRollout(record, rules, self._ports)
            await rollout.boot()

    async def forget(self, settings: Settings) -> None:
        """Forget the models that a configuration does not name: what is under way for them ends at once."""
        if self.board is None:
            return
        rollouts = self.board.rollouts
        gone = [rollouts.pop(name) for name in rollouts.keys() - settings.models.keys()]
        for rollout in gone:
            rollout.interrupt()
        await asyncio.gather(*(rollout.close() for rollout in gone))

    async def check_started(self) -> None:
        """Fall back from releases that could not be loaded, once everything was started."""
        if self._catalog is None:
            return
        for name in [*self._kept]:
            if self._catalog.status[name].state is ModelState.FAILED:
                del self._kept[name]
                settings = self._settings()
                with contextlib.suppress(GatewayError):  # its status says it
                    await self._catalog.start_at(name, settings.models[name].path, self._settings)
        if self.board is None:
            return
        for name, rollout in self.board.rollouts.items():
            status = self._catalog.status.get(name)
            while status is not None and status.state is ModelState.FAILED and rollout.record.active:
                active = rollout.record.active
                await rollout.feed(ActiveBad(active, "engine.load", status.reason, int(time.time())))
                await rollout.settled()
                if rollout.record.active == active:
                    break
                status = self._catalog.status.get(name)

    def workers_lost(self) -> None:
        """Note that a model's workers died for good: if it served a release, another one takes over soon."""
        self._consider()

    def model_loaded(self) -> None:
        """Note that a model serves that an order had unloaded: a release may have waited for that."""
        self._consider()

    def begin(self, link: Link) -> None:
        """Report, and look for new releases from now on."""
        if self.board is None or self._ports is None:
            return
        board, ports, settings = self.board, self._ports, self._settings()
        self._link = link
        turns = self._turns = Turns(board, ports)
        looks = Looks(board, ports, turns, lambda: updater_options(self._settings(), ports.store))
        self._looks = looks
        turns.on_attended = looks.attend
        orders = self._orders = Orders(board, ports, looks, turns)
        names = (settings.mqtt.topic_prefix, self._gateway, settings.updates.group)

        def ring(bell: Doorbell) -> None:
            board.request_id = bell.request_id
            looks.ring("doorbell")

        take = orders.take if settings.updates.commands else None
        self._topics = UpdateTopics(link.control, names, ring, take)
        self._topics.open()
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(turns.run(), name="updates.turns"),
            loop.create_task(self._keep_reporting(), name="updates.reports"),
        ]
        if self.enabled:
            self._tasks.append(loop.create_task(looks.run(), name="updates.looks"))
        self.resume()
        log.event(
            "updates_on",
            repository=settings.updates.repository,
            group=settings.updates.group,
            device=board.device,
            store=str(ports.store.root),
            models=sorted(board.rollouts),
        )
        self._changed()

    def resume(self) -> None:
        """Go on with what was read from the store, now that everything serves."""
        if self.board is not None and self._turns is not None:
            for rollout in self.board.rollouts.values():
                rollout.resume()
            self._turns.ring()
            if self._looks is not None and not all(r.asked for r in self.board.rollouts.values()):
                self._looks.ring(START)

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """What runs for ever; its end is a bug that the owner must see."""
        return list(self._tasks)

    async def close(self) -> None:
        """End everything; note that this start ended well. Idempotent."""
        tasks, self._tasks = self._tasks, []
        if self._reporting is not None:
            tasks.append(self._reporting)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._topics is not None:
            self._topics.close()
        if self._orders is not None:
            await self._orders.close()
        if self.board is not None:
            rollouts = list(self.board.rollouts.values())
            await asyncio.gather(*(rollout.close() for rollout in rollouts))
            stopping = asyncio.gather(*(rollout.feed(Stopped()) for rollout in rollouts))
            # A disk that hangs must not hold up the stop.
            await done_by(stopping, time.monotonic() + _STOP_LIMIT_S)
            stopping.cancel()
            await asyncio.gather(stopping, return_exceptions=True)
        if self.store is not None:
            self.store.close()

    def reported(self) -> Reported | None:
        """Return what is reported now; None if updates are off."""
        board, catalog = self.board, self._catalog
        if board is None or catalog is None:
            return None
        models = {name: self._standing_of(rollout, catalog) for name, rollout in board.rollouts.items()}
        return report(board, self.disk, models, catalog, self._health)

    def _standing_of(self, rollout: ModelRollout, catalog: Catalog) -> Standing:
        serving = None
        version = catalog.versions.get(rollout.model)
        if version is not None and self.store is not None:
            folder_of = partial(self.store.release_folder, rollout.model)
            serving = release_in(version.plan.spec.folder, rollout.record, folder_of)
        return Standing(rollout.record, serving, rollout.percent, rollout.failed_release, rollout.quarantined)

    def _spare(self) -> list[Release]:
        """Return what must not be collected though no record names it."""
        assert self.board is not None
        assert self.store is not None
        spared = self.board.spare()
        for model, number in self.named():
            with contextlib.suppress(GatewayError):  # it is not here
                spared.append(read_manifest(self.store.manifest(model, number)))
        return spared

    # What rollouts tell.

    def _tell(self, event: Mapping[str, object]) -> None:
        if self._topics is not None and self.board is not None:
            self._topics.tell({"device": self.board.device, **event})

    def _consider(self) -> None:
        if self._turns is not None:
            self._turns.ring()

    def _changed(self) -> None:
        """Report soon; what changes meanwhile goes into the same report."""
        if self._topics is not None and (self._reporting is None or self._reporting.done()):
            loop = asyncio.get_running_loop()
            self._reporting = loop.create_task(self._report(), name="updates.report")

    async def _keep_reporting(self) -> None:
        """Report what changed although no rollout did: other workers, other answers."""
        while True:
            await asyncio.sleep(_REPORT_AGAIN_S)
            said = self.reported()
            if said is not None and _essence(said) != self._reported:
                self._changed()

    async def _report(self) -> None:
        await asyncio.sleep(_REPORT_PAUSE_S)
        if self.store is not None:
            with contextlib.suppress(GatewayError):
                usage = await asyncio.to_thread(self.store.usage)
                self.disk = Disk(usage.store_bytes, usage.quota_bytes, usage.disk_free_bytes)
        said = self.reported()
        if said is not None and self._topics is not None:
            self._reported = _essence(said)
            self._topics.report(reported_bytes(said))


def _essence(said: Reported) -> bytes:
    """Return what makes two reports different: not that time has passed and others use the disk."""
    return reported_bytes(replace(said, at=0, disk=Disk()))


async def _open(folder: Path, updates: UpdateSettings) -> Store:
    """Open the store; wait a moment for what is left of a gateway that ended just now.

    Raises:
        StoreBusy: Another process has it.
        StoreFailed: It cannot be used.
    """
    limit_s = time.monotonic() + _BUSY_LIMIT_S
    while True:
        try:
            return await asyncio.to_thread(
                Store.open, folder, quota_bytes=updates.quota_bytes, reserve_bytes=updates.reserve_bytes
            )
        except StoreBusy:
            if time.monotonic() >= limit_s:
                raise
        await asyncio.sleep(_BUSY_AGAIN_S)
