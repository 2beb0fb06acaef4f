"""A lane that an observer lets go while answers are given loses no request, and is not killed for it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from gateway.errors import OutOfMemory
from gateway.inference.body import ProcessBody
from gateway.inference.lane import Lane
from gateway.inference.pool import process_body
from gateway.inference.request import Outcome, RequestState, Ticket
from tests.inference.bench_of_lanes import PLUGINS, ROOT, payload, request, serving
from tests.inference.test_scheduler import Answers, _lives, run, until
from tests.plugins.trouble_steps import SLOW


@pytest.fixture(autouse=True)
def _plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{PLUGINS}{os.pathsep}{ROOT}")


def test_lanes_that_go_because_a_batch_found_no_memory_take_no_request_with_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first: list[Lane] = []
    really = Lane.run

    def short(lane: Lane, *arguments: object) -> object:
        if not first:
            first.append(lane)
            raise OSError("no space left")
        return really(lane, *arguments)  # type: ignore[arg-type]

    async def test() -> None:
        async with serving("motion-int8", lanes=3) as (dataplane, scheduler, seen):
            noted = seen.request_ended

            def ended(ticket: Ticket, outcome: Outcome) -> None:
                noted(ticket, outcome)
                if isinstance(outcome.error, OutOfMemory):
                    scheduler.pool.resize(1)

            monkeypatch.setattr(seen, "request_ended", ended)
            monkeypatch.setattr(Lane, "run", short)
            answers = Answers()
            scheduler._pumping = True  # several come within one turn
            for number in range(6):
                dataplane.submit(request(payload(), f"s{number}", 5.0), answers, number)
            scheduler._pumping = False
            scheduler.pump()
            outcomes = await answers.all_of(6)
            states = [outcome.state for outcome in outcomes.values()]
            assert states.count(RequestState.FAILED) <= 2  # those of the batch that found none
            assert states.count(RequestState.DONE) == 6 - states.count(RequestState.FAILED)
            await until(lambda: len(scheduler.pool.lanes) == 1)

    run(test())


def test_a_lane_that_goes_because_its_own_answer_says_so_is_not_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    killed: list[str] = []

    async def test() -> None:
        async with serving("motion-int8", lanes=2) as (dataplane, scheduler, seen):
            really = Lane.kill

            def kill(lane: Lane, reason: str) -> None:
                killed.append(reason)
                really(lane, reason)

            monkeypatch.setattr(Lane, "kill", kill)
            noted = seen.request_ended

            def ended(ticket: Ticket, outcome: Outcome) -> None:
                noted(ticket, outcome)
                scheduler.pool.resize(1)

            monkeypatch.setattr(seen, "request_ended", ended)
            # The older one is at work for long, so the younger one, which has answered, is let go.
            answers = Answers()
            dataplane.submit(request(payload(SLOW), "slow"), answers, "slow")
            dataplane.submit(request(payload(), "quick"), answers, "quick")
            outcomes = await answers.all_of(2)
            assert {outcome.state for outcome in outcomes.values()} == {RequestState.DONE}
            await until(lambda: len(scheduler.pool.lanes) == 1)
            assert killed == []

    run(test())


def test_a_lane_that_goes_while_it_is_asked_for_a_sign_of_life_is_no_failure() -> None:
    async def test() -> None:
        async with serving("motion-int8", lanes=2) as (_, scheduler, seen):
            _, younger = scheduler.pool.lanes
            os.kill(younger.pid, signal.SIGSTOP)
            asking = asyncio.ensure_future(scheduler.pool.canary(time.monotonic()))
            await until(lambda: younger.is_asked)
            scheduler.pool.resize(1)
            assert await asking is not None
            assert seen.lost == []

    run(test())


def test_a_lane_that_is_wanted_no_more_when_it_cannot_divide_is_not_loaded_instead() -> None:
    async def test() -> None:
        async with serving("motion-int8", lanes=2) as (dataplane, scheduler, _):
            older, younger = scheduler.pool.lanes
            answers = Answers()
            dataplane.submit(request(payload(SLOW), "slow"), answers, "slow")
            busy, idle = (older, younger) if older.in_flight else (younger, older)
            os.kill(idle.pid, signal.SIGSTOP)
            scheduler.pool.resize(3)
            await until(lambda: idle.is_asked)
            scheduler.pool.resize(1)  # the one that is to divide goes
            os.kill(idle.pid, signal.SIGCONT)
            await until(lambda: not scheduler.pool._starting)
            assert scheduler.pool.lanes == [busy]
            assert scheduler.pool.restarts == 0
            assert scheduler.pool._next_index == 3  # no other was begun

    run(test())


def test_a_process_that_still_loads_ends_at_once_when_it_is_wanted_no_more() -> None:
    async def test() -> None:
        async with serving("motion-int8") as (_, scheduler, seen):
            pool = scheduler.pool
            (first,) = pool.lanes
            first.facts = replace(first.facts, divides=False) if first.facts else None
            pool.resize(2)
            await until(lambda: len(pool.lanes) == 2 and pool.lanes[1].pid > 0)
            second = pool.lanes[1]
            os.kill(second.pid, signal.SIGSTOP)  # it would load for ever
            pool.resize(1)
            await until(lambda: pool.lanes == [first] and not pool._starting)
            assert not _lives(second.pid)
            assert (seen.lost, pool.restarts, pool._loads) == ([], 0, {})

    run(test())


def test_a_lane_that_is_wanted_again_while_its_load_is_broken_off_comes() -> None:
    async def test() -> None:
        async with serving("motion-int8") as (_, scheduler, _seen):
            pool = scheduler.pool
            pool.resize(2)
            await until(lambda: len(pool.lanes) == 2)
            pool.resize(1)
            pool.resize(2)
            await until(lambda: pool.ready == 2 and not pool._starting)
            assert len(pool.lanes) == 2

    run(test())


def test_a_lane_more_that_cannot_be_started_takes_those_that_serve_out_of_nothing() -> None:
    async def test() -> None:
        async with serving("motion-int8", crash_limit=3) as (dataplane, scheduler, seen):
            pool = scheduler.pool
            (first,) = pool.lanes
            first.facts = replace(first.facts, divides=False) if first.facts else None
            tried: list[int] = []

            def no_body(*_: object) -> ProcessBody:
                tried.append(1)
                body = ProcessBody()

                async def begin(_fds: Sequence[int]) -> None:
                    raise OSError("no memory for another process")

                body.begin = begin  # type: ignore[method-assign, assignment]
                return body

            pool._make_body = no_body
            pool.resize(2)
            await until(lambda: len(tried) >= 6 or seen.outages != [])
            assert seen.outages == []
            assert (await dataplane.infer(request(payload()))).state is RequestState.DONE
            pool._make_body = process_body
            await until(lambda: pool.ready == 2)

    run(test())
