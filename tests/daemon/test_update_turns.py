"""Who is offered what, when: nothing before a look, in the moment it is taken, at the time that was set."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from gateway.daemon.offer import Offer
from gateway.daemon.update_turns import Turns
from gateway.updates.assignment import Assignment, Wish
from gateway.updates.rollout_events import Fetched, Offered, RollbackAsked
from gateway.updates.state import Phase
from gateway.updates.store.store import Store
from tests.daemon.update_world import House, turned, write
from tests.updates.store.transaction import MODEL, ref_of, release_of, stage

ONE, TWO = ref_of(release_of(1)), ref_of(release_of(2))
Scenario = Callable[[House, Turns], Awaitable[None]]


def _wish(house: House, number: int, **how: object) -> None:
    """Let the assignment wish a release, as a look does."""
    wish = Wish(number, **how)  # type: ignore[arg-type]
    house.board.assignment = Assignment("default", 1, {MODEL: wish})
    for rollout in house.board.rollouts.values():
        rollout.offer = Offer(release_of(number), ref_of(release_of(number)), wish)
        rollout.asked = True


def _run(store: Store, scenario: Scenario) -> None:
    async def whole() -> None:
        house = House(store)
        turns = Turns(house.board, house.ports)
        house.on_ring = turns.ring
        rollout = house.rollout()
        await rollout.boot()
        running = asyncio.ensure_future(turns.run())
        rollout.resume()
        turns.ring()
        try:
            await scenario(house, turns)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await rollout.close()

    asyncio.run(whole())


def test_after_a_restart_a_proven_release_waits_until_a_look_says_whether_it_is_still_wished(
    store: Store,
) -> None:
    stage(store, 1)
    write(store, phase=Phase.READY, candidate=ONE)

    async def scenario(house: House, turns: Turns) -> None:
        rollout = house.board.rollouts[MODEL]
        attended = asyncio.Event()
        turns.on_attended = attended.set
        await attended.wait()
        await turns.offer_all(asked=False)
        assert (rollout.record.phase, rollout.record.candidate) == (Phase.READY, ONE)
        _wish(house, 1)
        await turns.offer_all(asked=False)
        await turned(lambda: rollout.record.phase is Phase.BAKING)

    _run(store, scenario)


def test_the_pause_between_two_tries_outlives_a_restart(store: Store) -> None:
    later = int(time.time()) + 3600
    write(store, candidate=ONE, attempts=4, retry_unix_s=later, code="update.fetch", reason="no network")

    async def scenario(house: House, turns: Turns) -> None:
        await turns.offer_all(asked=False)
        _wish(house, 1)
        await turns.offer_all(asked=False)
        record = house.board.rollouts[MODEL].record
        assert (record.phase, record.attempts, record.retry_unix_s) == (Phase.IDLE, 4, later)
        await turns.offer_all(asked=True)
        assert house.board.rollouts[MODEL].wants == ONE

    _run(store, scenario)


def test_an_offer_knows_of_the_quarantine_that_was_written_while_it_waited(store: Store) -> None:
    stage(store, 1)
    write(store, active=ONE, floor=1)

    async def scenario(house: House, turns: Turns) -> None:
        rollout = house.board.rollouts[MODEL]
        _wish(house, 1)
        await asyncio.gather(rollout.feed(RollbackAsked("somebody", 5)), turns.offer_all(asked=False))
        await turned(lambda: rollout.record.code == "update.quarantined")
        assert not any(each["step"] == "accepted" for each in house.told)

    _run(store, scenario)


def test_what_is_wished_from_some_time_on_is_taken_then_whoever_rang_meanwhile(store: Store) -> None:
    async def scenario(house: House, turns: Turns) -> None:
        rollout = house.board.rollouts[MODEL]
        _wish(house, 1, not_before=int(time.time()) + 1)
        await turns.offer_all(asked=False)
        attended = asyncio.Event()
        turns.on_attended = attended.set
        turns.ring()
        await attended.wait()
        await turned(lambda: rollout.wants == ONE)

    _run(store, scenario)


def test_one_release_is_validated_at_a_time(store: Store) -> None:
    for number in (1, 2):
        stage(store, number)
    write(store, phase=Phase.VALIDATING, candidate=ONE, boots=1)

    async def scenario(house: House, turns: Turns) -> None:
        first = house.board.rollouts[MODEL]
        going_on = asyncio.Event()

        async def slow(*_: object) -> None:
            await going_on.wait()

        house.catalog.prove_release = slow
        await turned(lambda: not first.awaits_turn)
        stage(store, 1, "other")
        second = house.rollout("other")
        await second.boot()
        await second.feed(Offered(ref_of(release_of(1, "other")), 1))
        await second.feed(Fetched(ref_of(release_of(1, "other"))))
        attended = asyncio.Event()
        turns.on_attended = attended.set
        turns.ring()
        await attended.wait()
        assert (second.awaits_turn, second.record.phase) == (True, Phase.STAGED)
        going_on.set()  # it ends by a bug of this house, and that is an answer too
        await turned(lambda: not second.awaits_turn)
        await second.close()

    _run(store, scenario)


def test_a_release_waits_while_an_order_says_that_its_model_is_not_to_serve(store: Store) -> None:
    stage(store, 1)
    write(store, phase=Phase.READY, candidate=ONE)

    async def whole() -> None:
        house, unloaded = House(store), {MODEL}
        ports = replace(house.ports, is_unloaded=unloaded.__contains__)
        turns = Turns(house.board, ports)
        house.on_ring = turns.ring
        rollout = house.rollout()
        await rollout.boot()
        _wish(house, 1)
        await turns.offer_all(asked=False)
        attended = asyncio.Event()
        turns.on_attended = attended.set
        running = asyncio.ensure_future(turns.run())
        try:
            turns.ring()
            await attended.wait()
            assert (rollout.awaits_switch, rollout.record.phase) == (True, Phase.READY)
            unloaded.clear()
            turns.ring()
            await turned(lambda: rollout.record.phase is Phase.BAKING)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await rollout.close()

    asyncio.run(whole())
