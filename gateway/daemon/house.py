"""All rooms of one running gateway: opened in order, changed together, closed in reverse order."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import socket
import time
from pathlib import Path
from typing import Any

from gateway.configuration.load import LoadedSettings
from gateway.configuration.settings import Settings
from gateway.daemon.autoscaler import Autoscaler
from gateway.daemon.board_gauges import connect_board_gauges
from gateway.daemon.canary import Canaries
from gateway.daemon.catalog import Catalog
from gateway.daemon.demand_watch import DemandWatch
from gateway.daemon.doors import HouseDoors
from gateway.daemon.drop_in import DropIns
from gateway.daemon.drop_in_settings import with_drop_ins
from gateway.daemon.engine_news import EngineNews
from gateway.daemon.fit import fits
from gateway.daemon.fleet import Fleet
from gateway.daemon.intake import IntakePorts
from gateway.daemon.lane_costs import LaneCosts, footprint
from gateway.daemon.model_plan import ChangeKind
from gateway.daemon.observer import Observer
from gateway.daemon.outlet import Outlet
from gateway.daemon.pulse import Pulse
from gateway.daemon.scaling_gauges import connect_scaling_gauges
from gateway.daemon.sensing import Sensing
from gateway.daemon.status import StatusPage, connect_gauges, connect_link_gauges
from gateway.daemon.updates import Updates
from gateway.daemon.wish_wiring import connect_wishes
from gateway.errors import GatewayError
from gateway.inference.choosing import Chooser
from gateway.inference.dataplane import DataPlane
from gateway.inference.owner import GpuOwner
from gateway.inference.proof_cache import ProofCache
from gateway.mqtt.link import CONTROL, Identity, Link, LinkEvents
from gateway.mqtt.state import ConnectionState
from gateway.operations.build import VERSION
from gateway.operations.exposition import Exposition, format_of
from gateway.operations.health import Health, Reason
from gateway.operations.listen_fds import HandedOver
from gateway.operations.log import log
from gateway.operations.malloc import SpareMemory
from gateway.operations.metrics import Metrics
from gateway.operations.notifier import Notifier
from gateway.operations.watchdog import beat_s
from gateway.scaling.sampler import machine_sampler
from gateway.scaling.telemetry import Telemetry
from gateway.sensors.dialects import Identity as SensorIdentity
from gateway.sensors.sensor import Stream
from gateway.serving.app import Sources, StatusDoor

_DRAIN_S = 1.5
# A change of these needs a new process; everything else follows a reload.
_FIXED = ("gateway", "mqtt", "http", "telemetry", "updates", "serving")


class House:
    """One running gateway."""

    def __init__(
        self,
        loaded: LoadedSettings,
        manager: Notifier | None = None,
        handed: HandedOver | None = None,
    ) -> None:
        """Prepare.

        Args:
            loaded: The configuration.
            manager: The service manager, which is told how the house fares.
            handed: Sockets that it opened for the house.
        """
        settings = loaded.settings
        self.settings = settings
        self.started_s = time.monotonic()
        self.id = settings.gateway.id or gateway_id(socket.gethostname())
        self.epoch = int(time.time())
        self.metrics = Metrics()
        self.health = Health(settings.http.canary_max_age_s)
        self.dataplane = DataPlane()
        self._file = loaded.file
        observer = DemandWatch(Observer(self.metrics, self._out_of_service))
        caches = cache_folder(settings)
        cache = ProofCache(caches)
        news = EngineNews()
        self.building = news.building
        backends = (cache, Chooser(cache, caches, news))
        self.updates = Updates(lambda: self.settings, self.id, (self.dataplane, self.metrics, self.health))
        self.gpu = GpuOwner(news.lane_loads)
        self.catalog = Catalog(
            self.dataplane, backends, observer, loaded, self.updates.folder_of, self.gpu.body
        )
        self.changing = asyncio.Lock()
        self._configured = frozenset(settings.models)
        self.drop_ins = DropIns(settings.serving.models_dir, caches, self)
        sampler = machine_sampler(nvml=settings.telemetry.nvml)
        self.telemetry = Telemetry(sampler, lambda: self.settings.scaling.sample_interval_s)
        self.costs = LaneCosts(footprint)
        fleet = Fleet(self.dataplane.serving, observer, self.costs, lambda: self.settings)
        self.wishes = connect_wishes(self, fleet, self.costs)
        self.autoscaler = Autoscaler(self.telemetry, fleet, observer, self.metrics, settings.scaling)
        manager = manager or Notifier()
        self.doors = HouseDoors(self, handed or HandedOver({}))
        self.pulse = Pulse(self, manager)
        pause_s = beat_s(manager.watchdog_s, settings.http.canary_interval_s)
        self._canaries = Canaries(self.dataplane, self.health, self.metrics, pause_s)
        self._open = contextlib.AsyncExitStack()
        self.link: Link | None = None
        self.sensing: Sensing | None = None

    async def open(self) -> None:
        """Open every room.

        Raises:
            ConfigError: The configuration cannot work.
            OSError: The status door's address cannot be bound.

        Cancel-safe: ``close`` closes what was opened.
        """
        settings = self.settings
        page = StatusPage(self)
        connect_gauges(self, page)
        connect_board_gauges(self.metrics, self.telemetry, settings.telemetry)
        connect_scaling_gauges(self.metrics, self.autoscaler)
        spare = SpareMemory()
        self.telemetry.listen(lambda sample: spare.sampled(sample.at_s))
        await self._open.enter_async_context(self.telemetry)
        self._open.push_async_callback(self.doors.close)
        render = Exposition(self.metrics).render
        await self.doors.open(StatusDoor(Sources(page.verdict, render, page.status, format_of)))
        self.health.expect(self.wishes.expected())
        self.link = await self._open.enter_async_context(
            Link(settings.mqtt, Identity(self.id, self.epoch, VERSION), self._link_events())
        )
        connect_link_gauges(self)
        await self.updates.boot(self.catalog)
        await self.catalog.start(settings)
        await self.updates.check_started()
        await self.drop_ins.open()
        await self.wishes.open()
        await self._canaries.ask()
        outlet = Outlet(self.id, self.link.data.publish, self.metrics)
        ports = IntakePorts(
            submit=self.dataplane.submit,
            deliver=outlet.deliver,
            acknowledge=self.link.data.acknowledge,
            is_ordered=self._is_ordered,
            refused=self._frame_refused,
            metrics=self.metrics,
            max_payload_bytes=lambda: self.settings.inference.max_payload_bytes,
            admits=self.autoscaler.admits,
        )
        who = SensorIdentity(self.id, self.epoch)
        self.sensing = await self._open.enter_async_context(
            Sensing(settings, who, self.link, ports, self._fits)
        )
        await self.doors.open_to_broker(self.link)
        self.health.clear(Reason.STARTING)
        self.updates.begin(self.link)

    async def watch(self) -> None:
        """Run what runs for ever; returns or raises only when a part of the house fails."""
        assert self.link is not None
        own = [self._canaries.run(self.pulse.beat), self.autoscaler.run(), self.wishes.run()]
        ours = [asyncio.ensure_future(each) for each in own]
        tasks = [*ours]
        connections = (self.link.data, self.link.control, self.doors.broker)
        tasks += [c.task for c in connections if c is not None and c.task is not None]
        tasks += [*self.updates.tasks, *self.drop_ins.tasks]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in ours:
                task.cancel()
            await asyncio.gather(*ours, return_exceptions=True)

    async def change(self, loaded: LoadedSettings) -> dict[str, object]:
        """Go over to other settings, or change nothing; return what became different.

        Raises:
            GatewayError: The settings cannot work.
        """
        async with self.changing:
            difference = await self._change(loaded)
        self.drop_ins.ring()
        return difference

    async def _change(self, loaded: LoadedSettings) -> dict[str, object]:
        old, wanted = self.settings, loaded.settings
        kept = _kept(old, wanted)
        fixed = [name for name, value in kept.items() if value != getattr(wanted, name)]
        wanted = dataclasses.replace(wanted, **kept)
        self.doors.check(wanted)
        await self.updates.prepare(wanted)
        configured = frozenset(wanted.models)
        wanted = with_drop_ins(wanted, self.drop_ins.models())
        try:
            changed = await self.catalog.change(wanted, loaded)
        except BaseException:
            await self.updates.forget(old)
            raise
        self._configured = configured
        self.take(wanted)
        await self.updates.forget(wanted)
        self.updates.resume()
        if self.sensing is not None:
            self.sensing.reconfigure(wanted)
        self.autoscaler.reconfigure(wanted.scaling)
        log.configure(wanted.log)
        self.doors.renew(wanted)
        await self.catalog.drain(changed.ending)
        await self._canaries.ask()
        same = (ChangeKind.KEEP, ChangeKind.REMOVE)
        names = [name for name, kind in changed.kinds.items() if kind not in same]
        return {
            "added": [name for name in names if name not in old.models],
            "changed": [name for name in names if name in old.models],
            "removed": [name for name, kind in changed.kinds.items() if kind is ChangeKind.REMOVE],
            "restart_for": fixed,
        }

    def is_configured(self, name: str) -> bool:
        """Return whether the configuration itself names a model."""
        return name in self._configured

    def is_alias(self, name: str) -> bool:
        """Return whether an alias has a name: of the configuration, or made by order."""
        return name in self.settings.aliases or name in self.wishes.table.aliases

    def take(self, settings: Settings) -> None:
        """Let settings be in effect whose models serve already."""
        self.settings = settings
        # Nobody can take the gateway's readiness away by dropping a file.
        self.health.excuse(settings.models.keys() - self._configured)
        self.health.expect(self.wishes.expected())
        self.wishes.configured()

    async def close(self) -> None:
        """Close every room in reverse order, within a few seconds. Idempotent."""
        self.health.set(Reason.DRAINING)
        if self.sensing is not None:
            self.sensing.stop()
        await self.drop_ins.close()
        await self.updates.close()
        deadline_s = time.monotonic() + _DRAIN_S
        await self.wishes.close(deadline_s)
        await self.catalog.close(deadline_s)
        await self.gpu.close()
        await self._open.aclose()

    def counts(self) -> tuple[int, int]:
        """Return how many models serve and how many pipelines there are."""
        return len(self.dataplane.serving), len(self.settings.pipelines)

    def _is_ordered(self, model: str, pipeline: str) -> bool:
        scheduler = self.dataplane.serving.get(model)
        return scheduler is not None and scheduler.facts is not None and pipeline in scheduler.facts.stateful

    def _fits(self, stream: Stream, pipeline: str) -> bool:
        known = self.settings.pipelines.get(pipeline)
        scheduler = self.dataplane.serving.get(known.model) if known is not None else None
        if scheduler is None or scheduler.facts is None or pipeline not in scheduler.facts.kinds:
            return True
        return fits(scheduler.facts.kinds[pipeline], stream.declaration)

    def _link_events(self) -> LinkEvents:
        return LinkEvents(self._connection_state, self._message_dropped, self._filter_refused)

    def _connection_state(self, name: str, state: ConnectionState, reason: str) -> None:
        log.event("mqtt_state", connection=name, state=state.value, reason=reason)
        if self.link is not None and self.link.connected:
            self.health.clear(Reason.BROKER)
        else:
            self.health.set(Reason.BROKER)
        if name == CONTROL and self.sensing is not None:
            if state is ConnectionState.ONLINE:
                self.sensing.connection_changed(online=True)
            elif state in (ConnectionState.OFFLINE, ConnectionState.REFUSED):
                self.sensing.connection_changed(online=False)

    def _message_dropped(self, name: str, reason: str, topic: str) -> None:
        sensor = self.sensing.sensor_of(topic) if self.sensing is not None else ""
        if sensor:
            self.metrics.frames_dropped.add(1, sensor, reason)
        self.metrics.mqtt_dropped_messages.add(1, name, reason)
        log.event("mqtt_dropped", connection=name, reason=reason, topic=topic)

    def _filter_refused(self, name: str, filter: str, code: int) -> None:
        log.event("mqtt_filter_refused", connection=name, filter=filter, code=code)

    def _frame_refused(self, sensor: str, stream: str, error: GatewayError, trace_id: str) -> None:
        log.event(
            "frame_refused",
            sensor=sensor,
            stream=stream,
            label=error.label,
            error=error,
            trace_id=trace_id or None,
        )

    def _out_of_service(self, model: str, reason: str) -> None:
        self.catalog.out_of_service(model, reason)
        self.updates.workers_lost()


def gateway_id(host: str) -> str:
    """Return a host's name as an id that topics can carry."""
    plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in host.partition(".")[0].lower())
    return plain.strip("-")[:63] or "gateway"


def cache_folder(settings: Settings) -> Path:
    """Return where derived files are kept: as configured, as the service manager says, or under home."""
    folder = settings.gateway.cache_dir or os.environ.get("CACHE_DIRECTORY", "").split(":")[0]
    return Path(folder) if folder else Path.home() / ".cache" / "gateway"


def _kept(old: Settings, wanted: Settings) -> dict[str, Any]:
    """Return what a new process alone would change: all of ``_FIXED`` but who may use the doors."""
    access = dataclasses.replace(wanted.serving.access, connections=old.serving.access.connections)
    kept = {name: getattr(old, name) for name in _FIXED}
    return {**kept, "serving": dataclasses.replace(old.serving, access=access)}
