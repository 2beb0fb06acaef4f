"""The shell of one rollout: on a disk that takes nothing, and between events that come together."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.daemon import model_rollout
from gateway.errors import StoreFailed
from gateway.updates.rollout_events import ActiveBad, Booted, Offered, Stopped, TurnCame
from gateway.updates.state import ModelRecord, Phase
from gateway.updates.store.store import Store
from tests.daemon.update_world import FACTORY, House, damage, turned, version, write
from tests.updates.store.transaction import MODEL, ref_of, release_of, stage

ONE, TWO = ref_of(release_of(1)), ref_of(release_of(2))


class Disk:
    """Lets commits through, or not, or says of those that it took that it did not."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.takes = False
        self.lies = False
        self.asked = 0
        self._commit = store.commit
        monkeypatch.setattr(store, "commit", self.commit)
        monkeypatch.setattr(model_rollout, "_COMMIT_AGAIN_S", 0.01)

    def commit(self, record: ModelRecord) -> None:
        self.asked += 1
        if self.takes or self.lies:
            self._commit(record)
        if not self.takes:
            raise StoreFailed("Read-only file system")


@pytest.mark.parametrize("lies", [False, True])
def test_a_start_that_the_disk_does_not_take_serves_what_was_before_and_is_written_later(
    store: Store, monkeypatch: pytest.MonkeyPatch, lies: bool
) -> None:
    stage(store, 1)
    stage(store, 2)
    write(store, phase=Phase.BAKING, active=TWO, previous=ONE, candidate=TWO, floor=1)
    disk = Disk(store, monkeypatch)

    async def scenario() -> None:
        rollout = House(store).rollout()
        await rollout.boot()
        assert rollout.folder == str(store.release_folder(MODEL, 1))
        assert rollout.owes
        disk.takes, disk.lies = True, False
        await turned(lambda: not rollout.owes)
        assert store.record(MODEL).active == ONE
        await turned(lambda: rollout.quarantined == (2,) and store.record(MODEL).candidate is None)
        await rollout.close()

    disk.lies = lies  # the first try arrives, although it seems to fail
    asyncio.run(scenario())


def test_what_serves_badly_is_replaced_at_once_although_nothing_can_be_written(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(store, 1)
    write(store, active=ONE, floor=1)

    async def scenario() -> None:
        house = House(store)
        rollout = house.rollout()
        await rollout.boot()
        house.catalog.versions[MODEL] = version(str(rollout.folder))
        disk = Disk(store, monkeypatch)
        await rollout.feed(ActiveBad(ONE, "engine.load", "it does not load", 1))
        await rollout.settled()
        assert (house.serves, rollout.record.active) == (FACTORY, None)
        offering = asyncio.ensure_future(rollout.feed(Offered(TWO, 2)))
        await turned(lambda: disk.asked >= 3)
        assert not offering.done()
        disk.takes = True
        await offering
        assert rollout.wants == TWO
        await rollout.close()

    asyncio.run(scenario())


def test_a_validation_that_a_restart_interrupted_keeps_its_turn_when_what_serves_is_damaged(
    store: Store,
) -> None:
    for number in (1, 2):
        stage(store, number)
    write(store, phase=Phase.VALIDATING, active=ONE, candidate=TWO, boots=1, floor=1)
    damage(store, 1)

    async def scenario() -> None:
        rollout = House(store).rollout()
        await rollout.boot()
        assert (rollout.record.active, rollout.record.phase) == (None, Phase.VALIDATING)
        assert rollout.awaits_turn
        await rollout.close()

    asyncio.run(scenario())


def test_what_comes_after_a_write_that_nobody_waited_for_still_counts(store: Store) -> None:
    stage(store, 1)
    write(store, phase=Phase.BAKING, active=ONE, candidate=ONE)

    async def scenario() -> None:
        rollout = House(store).rollout()
        await rollout.boot()
        write(store, baked_s=5.0)  # a tick whose task had to end before it heard
        await rollout.feed(Stopped())
        held = store.record(MODEL)
        assert (held.boots, held.baked_s) == (0, 5.0)
        await rollout.close()

    asyncio.run(scenario())


def test_a_disk_that_cannot_even_be_read_is_no_reason_to_raise(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_: Any) -> ModelRecord:
        raise StoreFailed("Input/output error")

    async def scenario() -> None:
        rollout = House(store).rollout()
        await rollout.boot()
        write(store, floor=3)
        monkeypatch.setattr(store, "record", unreadable)
        await rollout.feed(Booted(1))
        await rollout.feed(Offered(ONE, 2, incompatible="needs another board"))
        await rollout.close()

    asyncio.run(scenario())


def test_a_bug_in_what_runs_for_a_release_is_an_answer(store: Store) -> None:
    stage(store, 1)
    write(store, phase=Phase.VALIDATING, candidate=ONE, boots=1)

    async def scenario() -> None:
        house = House(store)
        rollout = house.rollout()
        await rollout.boot()
        await rollout.feed(TurnCame(ONE))  # this house has no ``prove_release``
        await rollout.settled()
        assert (rollout.record.phase, rollout.record.attempts) == (Phase.IDLE, 1)
        await rollout.close()

    asyncio.run(scenario())


def test_a_way_back_is_not_cut_short_by_what_is_offered_meanwhile(store: Store) -> None:
    stage(store, 1)
    write(store, active=ONE, floor=1)

    async def scenario() -> None:
        house = House(store)
        rollout = house.rollout()
        await rollout.boot()
        house.catalog.versions[MODEL] = version(str(rollout.folder))
        house.let.clear()
        await rollout.feed(ActiveBad(ONE, "inference.not_ready", "its workers died", 1))
        await rollout.feed(Offered(TWO, 2))
        assert rollout.wants == TWO
        await rollout.feed(Offered(TWO, 3, incompatible="needs another board"))
        assert rollout.record.phase is Phase.IDLE
        house.let.set()
        await rollout.settled()
        assert house.serves == FACTORY
        await rollout.close()

    asyncio.run(scenario())
