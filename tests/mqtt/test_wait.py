"""Waiting with a deadline: nothing is lost, least of all a cancellation."""

from __future__ import annotations

import asyncio
import time

import pytest

from gateway.mqtt.wait import Bell, done_by, set_by
from tests.mqtt.watch import soon


def test_a_future_is_waited_for_and_left_alone_when_time_is_up() -> None:
    async def scenario() -> None:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        assert not await done_by(future, 0.0)
        assert not future.cancelled()
        asyncio.get_running_loop().call_soon(future.set_result, 1)
        assert await done_by(future, soon())
        assert await done_by(future, 0.0)

    asyncio.run(scenario())


def test_a_cancellation_that_meets_the_result_is_not_swallowed() -> None:
    async def scenario() -> None:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        waiting = asyncio.ensure_future(done_by(future, soon()))
        await asyncio.sleep(0)
        future.set_result(1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert future.result() == 1

    asyncio.run(scenario())


def test_a_bell_wakes_all_who_wait_and_none_who_come_later() -> None:
    async def scenario() -> None:
        bell = Bell()
        bell.ring()
        early = [asyncio.ensure_future(bell.heard_by(soon())) for _ in range(3)]
        gone = asyncio.ensure_future(bell.heard_by(soon()))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        bell.ring()
        assert await asyncio.gather(*early) == [True, True, True]
        assert gone.cancelled()
        assert not await bell.heard_by(0.0)

    asyncio.run(scenario())


def test_an_event_is_waited_for_until_it_is_set_or_the_time_is_over() -> None:
    async def both() -> tuple[bool, bool]:
        event = asyncio.Event()
        early = await set_by(event, time.monotonic())
        event.set()
        return early, await set_by(event, time.monotonic() + 10)

    assert asyncio.run(both()) == (False, True)


def test_whoever_waits_for_an_event_without_any_time_left_lets_others_have_a_turn() -> None:
    async def turns() -> int:
        turned: list[None] = []
        asyncio.get_running_loop().call_soon(turned.append, None)
        await set_by(asyncio.Event(), time.monotonic() - 1)
        return len(turned)

    assert asyncio.run(turns()) == 1


def test_a_cancellation_that_comes_with_the_event_is_not_lost() -> None:
    async def told_to_end() -> bool:
        event = asyncio.Event()
        waiter = asyncio.ensure_future(set_by(event, time.monotonic() + 10))
        for _ in range(3):
            await asyncio.sleep(0)
        event.set()
        waiter.cancel()
        await asyncio.wait({waiter})
        return waiter.cancelled()

    assert asyncio.run(told_to_end())
