"""Puts together, for one house, the parts that load models on demand and keep aliases as they are wished."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from gateway.configuration.settings import Settings
from gateway.daemon.beside import Beside
from gateway.daemon.loading import Loading
from gateway.daemon.room import Room
from gateway.daemon.stored_releases import StoredReleases
from gateway.daemon.wishes import Wishes
from gateway.errors import GatewayError
from gateway.operations.memory import read_memory
from gateway.scaling.sample import HOST, DeviceMemory, Source

if TYPE_CHECKING:
    from gateway.daemon.fleet import Fleet
    from gateway.daemon.house import House
    from gateway.daemon.lane_costs import LaneCosts


def connect_wishes(house: House, fleet: Fleet, costs: LaneCosts) -> Wishes:
    """Return the wishes of a house whose catalogue, data plane, updates and telemetry are there."""

    def memory(on_device: bool) -> DeviceMemory | None:
        sample = house.telemetry.latest() if on_device else None
        devices = sorted(name for name in sample.memory if name != HOST) if sample is not None else []
        return sample.memory[devices[0]] if sample is not None and devices else _host_memory()

    def settings() -> Settings:
        return house.settings

    releases = StoredReleases(house.updates, settings)
    room = Room(house.catalog.versions, settings, memory, costs.of, releases.busy)
    loading = Loading(house.catalog, releases, settings, room, house.metrics)
    beside = Beside(house.catalog, house.dataplane, releases, settings, loading.room_for)
    wishes = Wishes(settings, house.catalog, loading, beside, releases)
    house.dataplane.waker = loading.wake
    house.updates.named = wishes.kept_releases
    fleet.on_demand = loading

    async def expect() -> None:
        """Have the models answer that are expected from now on, before they are."""
        names = wishes.expected()
        known = house.health.judge(time.monotonic()).models
        answered: dict[str, float] = {}
        for name in names:
            scheduler = house.dataplane.serving.get(name)
            if name not in known and scheduler is not None:
                with contextlib.suppress(GatewayError):  # the next canary says it
                    at_s = await scheduler.pool.canary(time.monotonic())
                    answered[name] = at_s or 0.0
        house.health.expect(names)
        for name, at_s in answered.items():
            house.health.canary_answered(name, at_s)

    wishes.on_expected = expect
    wishes.on_forgotten = house.drop_ins.ring
    return wishes


def _host_memory() -> DeviceMemory | None:
    """Return the board's memory as it is now: a sample may be older than the last load."""
    memory = read_memory()
    if memory is None:
        return None
    source = Source.CGROUP if memory.grouped else Source.MEMINFO
    return DeviceMemory(HOST, source, "read for a load", memory.total_bytes, memory.available_bytes)
