"""A lane that an observer lets go while answers are given loses no request, and is not killed for it."""

from __future__ import annotations

import os

import pytest

from gateway.errors import OutOfMemory
from gateway.inference.lane import Lane
from gateway.inference.request import Outcome, RequestState, Ticket
from tests.inference.bench_of_lanes import PLUGINS, ROOT, payload, request, serving
from tests.inference.test_scheduler import Answers, run, until
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
            scheduler._pump()
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
