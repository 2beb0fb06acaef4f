"""A bake watches what serves, and nothing else, for as long as it has to and as cheaply as it can."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import pytest

from gateway.daemon import bake_watch
from gateway.daemon.bake_watch import BakeWatch
from gateway.errors import NotReady
from gateway.updates.bake import Gates, Summary
from gateway.updates.release import ReleaseRef
from gateway.updates.rollout_events import BakePassed, BakeTick, Failed
from gateway.updates.store.store import Store
from tests.daemon.update_world import House, version
from tests.updates.store.transaction import MODEL

ONE = ReleaseRef(1, "ab" * 32)
FOLDER = "/store/releases/door/1"
Events = list[BakeTick | BakePassed | Failed]


def _run(
    store: Store,
    limits: Gates,
    meanwhile: Callable[[House], Awaitable[None]],
    before: Summary | None = None,
    may_pass: Callable[[], bool] = lambda: True,
) -> Events:
    async def whole() -> Events:
        house = House(store)
        house.catalog.versions[MODEL] = version(FOLDER)
        watch = BakeWatch(MODEL, house.ports, limits, before)
        events: Events = []

        async def collect() -> None:
            events.extend([event async for event in watch.events(ONE, (0.0, 0), may_pass)])

        watching = asyncio.ensure_future(collect())
        await asyncio.sleep(0)
        await meanwhile(house)
        await watching
        return events

    return asyncio.run(whole())


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bake_watch, "_JUDGE_S", 0.01)


async def _answered(house: House, count: int = 1) -> None:
    for _ in range(count):
        house.catalog.versions[MODEL].watch.window.answered(1.0, None)


def test_requests_that_come_after_a_reload_has_put_other_lanes_there_are_counted(store: Store) -> None:
    async def reload(house: House) -> None:
        await _answered(house, 3)
        await asyncio.sleep(0.05)
        house.catalog.versions[MODEL] = version(FOLDER, house.catalog.versions[MODEL].plan.spec)
        await asyncio.sleep(0.05)
        await _answered(house, 4)

    events = _run(store, Gates(seconds=0, requests=7, max_seconds=3600), reload)
    assert events == [BakePassed(ONE)]


def test_workers_that_die_after_a_reload_send_a_release_back(store: Store) -> None:
    async def reload(house: House) -> None:
        house.catalog.versions[MODEL] = version(FOLDER, house.catalog.versions[MODEL].plan.spec)
        await asyncio.sleep(0.05)
        house.catalog.versions[MODEL].watch.out_of_service(MODEL, NotReady("five of them"))

    (event,) = _run(store, Gates(seconds=3600, requests=0, max_seconds=3600), reload)
    assert isinstance(event, Failed)
    assert "five of them" in event.reason


def test_the_end_of_lanes_that_serve_no_longer_is_nothing_against_what_does(store: Store) -> None:
    async def reload(house: House) -> None:
        old = house.catalog.versions[MODEL]
        house.catalog.versions[MODEL] = version(FOLDER, old.plan.spec)
        await asyncio.sleep(0.05)
        old.watch.out_of_service(MODEL, NotReady("it is past"))
        await asyncio.sleep(0.05)
        await _answered(house)

    assert _run(store, Gates(seconds=0, requests=1, max_seconds=3600), reload) == [BakePassed(ONE)]


def test_other_pipelines_are_not_held_against_the_release_before(store: Store) -> None:
    before = Summary(times_ms={1: (0.1,) * 100}, requests=100)

    async def reload(house: House) -> None:
        house.catalog.versions[MODEL].plan.spec = SimpleNamespace(folder=FOLDER, pipelines=("heavy",))
        await asyncio.sleep(0.05)
        for _ in range(200):
            house.catalog.versions[MODEL].watch.window.answered(50.0, None)

    limits = Gates(seconds=0, requests=200, max_seconds=3600)
    assert _run(store, limits, reload, before) == [BakePassed(ONE)]


def test_without_anything_that_serves_there_is_no_bake(store: Store) -> None:
    async def whole() -> Events:
        house = House(store)
        house.catalog.versions.clear()
        watch = BakeWatch(MODEL, house.ports, Gates(1, 1, 1), None)
        return [event async for event in watch.events(ONE, (0.0, 0), lambda: True)]

    (event,) = asyncio.run(whole())
    assert isinstance(event, Failed)


def test_ticks_become_rarer_so_that_a_long_bake_writes_little(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bake_watch, "_LEAST_TICK_S", 0.0)
    seconds = itertools.count(1.0)
    clock = SimpleNamespace(monotonic=lambda: next(seconds), time=lambda: 1.0)
    monkeypatch.setattr(bake_watch, "time", clock)
    monkeypatch.setattr(bake_watch, "_JUDGE_S", 0.0)

    async def nothing(_house: House) -> None:
        return None

    events = _run(store, Gates(seconds=0, requests=1, max_seconds=2000), nothing)
    ticks = [event.seconds for event in events if isinstance(event, BakeTick)]
    assert isinstance(events[-1], BakePassed)
    assert sum(ticks) <= 2000
    assert len(ticks) < 120
    assert ticks == sorted(ticks)
