"""When a board looks at its repository, and what comes of a fetch: the updater's process is left out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from gateway.daemon import update_looks
from gateway.daemon.update_looks import Looks
from gateway.daemon.update_turns import Turns
from gateway.errors import FetchFailed
from gateway.mqtt.wait import set_by
from gateway.updates.assignment import Assignment, Wish
from gateway.updates.manifest import manifest_bytes
from gateway.updates.release import ReleaseRef
from gateway.updates.rollout_events import CancelAsked, Hindered
from gateway.updates.state import Phase
from gateway.updates.store.store import Store
from gateway.updates.updater import Offer, Refreshed, TrustFacts
from tests.daemon.update_world import House, turned, write
from tests.updates.store.transaction import MODEL, ref_of, release_of, stage

ONE = ref_of(release_of(1))


class Updater:
    """What an updater's process would say, each time anew."""

    def __init__(self) -> None:
        self.looks = 0
        self.fetches = 0
        self.fails = False
        self.fetched = ONE
        self.on_refresh: Callable[[], None] = lambda: None
        self.on_fetch: Callable[[], Awaitable[None]] = _at_once
        self.peak_rss_bytes = 0

    async def __aenter__(self) -> Updater:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def refresh(self, models: list[str]) -> Refreshed:
        self.looks += 1
        self.on_refresh()
        if self.fails:
            raise FetchFailed("no network")
        offers = {MODEL: Offer(release_of(1), ONE, manifest_bytes(release_of(1)))} if MODEL in models else {}
        assignment = Assignment("default", 1, {MODEL: Wish(1)})
        return Refreshed(assignment, offers, TrustFacts({}, "ok", {}, root_expires_soon=False))

    async def fetch(self, model: str, number: int, progress: Callable[[int, int], None]) -> ReleaseRef:
        self.fetches += 1
        progress(1, 2)
        await self.on_fetch()
        return self.fetched


async def _at_once() -> None:
    """Let a fetch take no time."""


def _run(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    scenario: Callable[[House, Looks, Updater, list[float]], Awaitable[None]],
) -> None:
    updater, waits_s = Updater(), []
    wait = set_by

    async def noted(event: asyncio.Event, deadline_s: float) -> bool:
        waits_s.append(deadline_s - time.monotonic())
        return await wait(event, deadline_s)

    monkeypatch.setattr(update_looks, "set_by", noted)
    monkeypatch.setattr(update_looks, "UpdaterSession", lambda *_: updater)

    async def whole() -> None:
        house = House(store)
        turns = Turns(house.board, house.ports)
        looks = Looks(house.board, house.ports, turns, lambda: None)  # type: ignore[arg-type,return-value]
        turns.on_attended, house.on_ring = looks.attend, turns.ring
        rollout = house.rollout()
        await rollout.boot()
        running = [asyncio.ensure_future(turns.run()), asyncio.ensure_future(looks.run())]
        try:
            await scenario(house, looks, updater, waits_s)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await rollout.close()

    asyncio.run(whole())


def test_a_release_that_waits_for_its_next_try_does_not_make_failing_looks_more_frequent(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(store, candidate=ONE, attempts=1, retry_unix_s=1, code="update.fetch", reason="no network")
    monkeypatch.setattr(update_looks, "_FIRST_RETRY_S", 500.0)

    async def scenario(_house: House, _looks: Looks, updater: Updater, waits_s: list[float]) -> None:
        updater.fails = True
        await turned(lambda: updater.looks == 1 and waits_s[-1] > 100)

    _run(store, monkeypatch, scenario)


def test_what_is_hindered_between_two_looks_is_tried_again_in_its_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(store, 1)

    async def scenario(house: House, _looks: Looks, _updater: Updater, waits_s: list[float]) -> None:
        rollout = house.board.rollouts[MODEL]
        held = asyncio.Event()
        house.catalog.prove_release = lambda *_: held.wait()
        await turned(lambda: rollout.record.phase is Phase.VALIDATING)
        await turned(lambda: waits_s[-1] > 100)
        await rollout.feed(Hindered(ONE, "update.store", "a damaged copy", int(time.time()), 0.0))
        await turned(lambda: waits_s[-1] < 30)

    _run(store, monkeypatch, scenario)


def test_whoever_rings_without_end_does_not_keep_a_release_from_coming(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(store, 1)

    async def scenario(house: House, looks: Looks, updater: Updater, _waits_s: list[float]) -> None:
        updater.on_refresh = lambda: looks.ring("doorbell")
        rollout = house.board.rollouts[MODEL]
        await turned(lambda: rollout.record.phase not in (Phase.IDLE, Phase.FETCHING))

    _run(store, monkeypatch, scenario)


def test_a_fetch_ends_when_the_release_is_not_wanted_any_more(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(house: House, _looks: Looks, updater: Updater, _waits_s: list[float]) -> None:
        ended = asyncio.Event()

        async def endless() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        updater.on_fetch = endless
        rollout = house.board.rollouts[MODEL]
        await turned(lambda: updater.fetches)
        assert rollout.percent == 50.0
        await rollout.feed(CancelAsked("somebody"))
        await ended.wait()

    _run(store, monkeypatch, scenario)


def test_a_manifest_that_changed_between_look_and_fetch_is_not_fetched_again_and_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(house: House, _looks: Looks, updater: Updater, _waits_s: list[float]) -> None:
        updater.fetched = ReleaseRef(1, "ab" * 32)
        rollout = house.board.rollouts[MODEL]
        await turned(lambda: rollout.record.attempts == 1)
        assert (updater.fetches, rollout.record.code) == (1, "update.manifest")

    _run(store, monkeypatch, scenario)


def test_a_model_that_comes_while_a_look_is_under_way_is_not_taken_for_unwished(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(house: House, _looks: Looks, updater: Updater, _waits_s: list[float]) -> None:
        def comes() -> None:
            house.rollout("other")

        updater.on_refresh = comes
        await turned(lambda: updater.looks == 1 and house.board.rollouts[MODEL].asked)
        assert not house.board.rollouts["other"].asked

    _run(store, monkeypatch, scenario)
