"""Real workers, a real model, real crashes."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import (
    DeadlineQueued,
    DeadlineRunning,
    GatewayBug,
    NotReady,
    OutOfMemory,
    Overloaded,
    Quarantined,
    UnknownModel,
    WorkerCrashed,
)
from gateway.inference.request import CancelReason, Outcome, RequestState, Ticket
from gateway.operations.tracing import begin_span, current_span, in_span
from tests.inference.bench_of_lanes import PLUGINS, ROOT, payload, request, serving
from tests.plugins.trouble_steps import HANG, KILL, NO_MEMORY, RAISE, SLOW


@pytest.fixture(autouse=True)
def _plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{PLUGINS}{os.pathsep}{ROOT}")


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 180))


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - nobody tells; `run` bounds the wait
        await asyncio.sleep(0.01)


def _lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class Answers:
    """Collects outcomes by the name that a request was given."""

    def __init__(self) -> None:
        self.outcomes: dict[object, Outcome] = {}
        self._changed = asyncio.Event()

    def __call__(self, ticket: Ticket, outcome: Outcome) -> None:
        assert ticket.context not in self.outcomes  # a request ends exactly once
        self.outcomes[ticket.context] = outcome
        self._changed.set()

    async def all_of(self, count: int) -> dict[object, Outcome]:
        while len(self.outcomes) < count:
            self._changed.clear()
            await self._changed.wait()
        return self.outcomes


def test_requests_are_answered_and_batched_while_the_lane_is_busy() -> None:
    async def test() -> None:
        async with serving() as (dataplane, _, seen):
            answers = Answers()
            for number in range(40):
                dataplane.submit(
                    request(payload(SLOW if number == 0 else 0.0), f"s{number}"), answers, number
                )
            outcomes = await answers.all_of(40)
            assert {o.state for o in outcomes.values()} == {RequestState.DONE}
            assert sum(seen.batches) == 40
            assert max(seen.batches) > 1

    run(test())


def test_an_answer_in_company_is_the_answer_alone() -> None:
    async def test() -> None:
        async with serving() as (dataplane, _, seen):
            alone = [(await dataplane.infer(request(payload(seed=n)))).prediction for n in range(8)]
            answers = Answers()
            dataplane.submit(request(payload(SLOW), "slow"), answers, "slow")
            for number in range(8):
                dataplane.submit(request(payload(seed=number), f"s{number}"), answers, number)
            outcomes = await answers.all_of(9)
            assert max(seen.batches) > 1
            assert [outcomes[n].prediction for n in range(8)] == alone

    run(test())


def test_what_a_deadline_finds_due_is_not_about_the_request_that_was_there_when_it_was_set() -> None:
    async def test() -> None:
        async with serving() as (dataplane, _, _):
            spans: dict[object, object] = {}
            ended = asyncio.Event()

            def note(ticket: Ticket, _outcome: Outcome) -> None:
                spans[ticket.context] = current_span()
                if len(spans) == 2:
                    ended.set()

            dataplane.submit(request(payload(SLOW)), note, "slow")
            with in_span(begin_span([])):
                dataplane.submit(request(payload(), "s", 0.01), note, "late")
            await ended.wait()
            assert spans == {"slow": None, "late": None}

    run(test())


def test_a_worker_killed_in_the_middle_costs_its_batch_and_is_replaced() -> None:
    async def test() -> None:
        async with serving("motion-int8") as (dataplane, scheduler, seen):
            answers = Answers()
            dataplane.submit(request(payload(HANG), "a"), answers, "running")
            await asyncio.sleep(0)
            (lane,) = scheduler.pool.lanes
            assert len(lane.in_flight) == 1
            dataplane.submit(request(payload(), "b"), answers, "waiting")
            os.kill(lane.pid, signal.SIGKILL)
            outcomes = await answers.all_of(2)
            assert isinstance(outcomes["running"].error, WorkerCrashed)
            assert outcomes["waiting"].state is RequestState.DONE
            assert seen.lost == ["was ended by SIGKILL"]
            assert scheduler.pool.restarts == 1

    run(test())


def test_a_poisoned_member_of_a_batch_is_found_out_and_the_others_are_answered() -> None:
    async def test() -> None:
        async with serving() as (dataplane, scheduler, seen):
            answers = Answers()
            poison = payload(KILL)
            dataplane.submit(request(payload(SLOW), "slow"), answers, "slow")
            for number in range(4):
                dataplane.submit(request(payload(seed=number), f"s{number}"), answers, number)
            dataplane.submit(request(poison, "bad"), answers, "poison")
            outcomes = await answers.all_of(6)
            assert isinstance(outcomes["poison"].error, WorkerCrashed)
            assert {outcomes[n].state for n in range(4)} == {RequestState.DONE}
            assert len(seen.quarantined) == 1
            assert scheduler.quarantined == 1
            with pytest.raises(Quarantined):
                await dataplane.infer(request(poison, "bad"))
            assert len(seen.lost) == 2  # in company, then alone; the third time it is not run

    run(test())


def test_a_lone_payload_that_kills_twice_is_not_run_a_third_time() -> None:
    async def test() -> None:
        async with serving("motion-int8") as (dataplane, _, seen):
            for _ in range(2):
                with pytest.raises(WorkerCrashed):
                    await dataplane.infer(request(payload(KILL)))
            with pytest.raises(Quarantined):
                await dataplane.infer(request(payload(KILL)))
            assert len(seen.lost) == 2

    run(test())


def test_a_payload_that_runs_well_between_two_kills_from_outside_is_innocent() -> None:
    async def test() -> None:
        async with serving("motion-int8") as (dataplane, scheduler, seen):
            for turn in range(3):
                answers = Answers()
                dataplane.submit(request(payload(SLOW)), answers, "same")
                os.kill(scheduler.pool.lanes[0].pid, signal.SIGKILL)
                assert isinstance((await answers.all_of(1))["same"].error, WorkerCrashed)
                outcome = await dataplane.infer(request(payload(SLOW)))
                assert outcome.state is RequestState.DONE
                assert len(seen.lost) == turn + 1
            assert seen.quarantined == []

    run(test())


def test_a_hanging_worker_is_ended_and_the_next_request_answered() -> None:
    async def test() -> None:
        async with serving("motion-int8", run_timeout_s=1.5) as (dataplane, _, seen):
            with pytest.raises(WorkerCrashed):
                await dataplane.infer(request(payload(HANG)))
            assert (await dataplane.infer(request(payload()))).state is RequestState.DONE
            assert "longer than 1.5 s" in seen.lost[0]

    run(test())


def test_a_crash_loop_takes_the_model_out_of_service() -> None:
    async def test() -> None:
        async with serving("motion-int8", crash_limit=2) as (dataplane, _, seen):
            for seed in range(2):
                with pytest.raises((WorkerCrashed, NotReady)):
                    await dataplane.infer(request(payload(KILL, seed)))
            with pytest.raises(NotReady):
                await dataplane.infer(request(payload()))
            assert len(seen.outages) == 1

    run(test())


@pytest.mark.parametrize(("first", "error"), [(RAISE, GatewayBug), (NO_MEMORY, OutOfMemory)])
def test_what_goes_wrong_in_one_member_stays_its_own(first: float, error: type[Exception]) -> None:
    async def test() -> None:
        async with serving() as (dataplane, _, seen):
            answers = Answers()
            dataplane.submit(request(payload(SLOW), "slow"), answers, "slow")
            dataplane.submit(request(payload(first), "bad"), answers, "bad")
            dataplane.submit(request(payload(), "good"), answers, "good")
            outcomes = await answers.all_of(3)
            assert isinstance(outcomes["bad"].error, error)
            assert outcomes["good"].state is RequestState.DONE
            assert seen.lost == []

    run(test())


def test_a_deadline_is_answered_while_the_worker_still_runs() -> None:
    async def test() -> None:
        async with serving("motion-int8") as (dataplane, scheduler, _):
            (lane,) = scheduler.pool.lanes
            os.kill(lane.pid, signal.SIGSTOP)
            with pytest.raises(DeadlineRunning):
                await dataplane.infer(request(payload(), patience_s=0.2))
            assert scheduler.in_flight == 1  # it was answered before the worker was done
            os.kill(lane.pid, signal.SIGCONT)
            assert (await dataplane.infer(request(payload()))).state is RequestState.DONE

    run(test())


def test_a_request_that_waits_too_long_is_never_run() -> None:
    async def test() -> None:
        async with serving("motion-int8") as (dataplane, scheduler, seen):
            answers = Answers()
            for number in range(2):
                dataplane.submit(request(payload(SLOW), f"s{number}"), answers, number)
            dataplane.submit(request(payload(), "late", patience_s=0.02), answers, "late")
            outcomes = await answers.all_of(3)
            assert isinstance(outcomes["late"].error, DeadlineQueued)
            assert sum(seen.batches) == 2
            assert scheduler.queued == 0

    run(test())


def test_a_newer_frame_takes_the_place_of_one_that_waits() -> None:
    async def test() -> None:
        async with serving("motion-int8") as (dataplane, _, _seen):
            answers = Answers()
            for number in range(2):
                dataplane.submit(request(payload(SLOW), f"busy{number}"), answers, f"busy{number}")
            for number in range(5):
                dataplane.submit(request(payload(), "cam", latest=True), answers, number)
            outcomes = await answers.all_of(7)
            assert [outcomes[n].cancelled for n in range(4)] == [CancelReason.SUPERSEDED] * 4
            assert outcomes[4].state is RequestState.DONE

    run(test())


def test_a_cancelled_caller_takes_its_request_out_of_the_queue() -> None:
    async def test() -> None:
        async with serving("motion-int8") as (dataplane, scheduler, seen):
            answers = Answers()
            for number in range(2):
                dataplane.submit(request(payload(SLOW), f"busy{number}"), answers, number)
            task = asyncio.ensure_future(dataplane.infer(request(payload(), "caller")))
            await asyncio.sleep(0)
            before = scheduler.queued
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert scheduler.queued == before - 1
            await answers.all_of(2)
            assert sum(seen.batches) == 2

    run(test())


def test_a_full_queue_refuses_and_nothing_else_changes() -> None:
    async def test() -> None:
        async with serving("motion-int8") as (dataplane, scheduler, _):
            answers = Answers()
            for number in range(400):
                dataplane.submit(request(payload(), f"s{number}"), answers, number)
            outcomes = await answers.all_of(400)
            refused = [o for o in outcomes.values() if o.error is not None]
            assert refused
            assert {type(o.error) for o in refused} == {Overloaded}
            assert scheduler.queued == 0

    run(test())


def test_lanes_grow_and_shrink_while_requests_run() -> None:
    async def test() -> None:
        async with serving("motion-int8") as (dataplane, scheduler, seen):
            answers = Answers()
            scheduler.pool.resize(3)
            for number in range(100):
                dataplane.submit(request(payload(seed=number), f"s{number}"), answers, number)
            await until(lambda: scheduler.pool.ready == 3)
            scheduler.pool.resize(1)
            outcomes = await answers.all_of(100)
            assert {o.state for o in outcomes.values()} == {RequestState.DONE}
            await until(lambda: len(scheduler.pool.lanes) == 1)
            assert seen.lost == []

    run(test())


def test_draining_answers_what_was_taken_and_leaves_no_process() -> None:
    async def test() -> None:
        async with serving("motion-int8", lanes=2) as (dataplane, scheduler, _):
            answers = Answers()
            pids = [lane.pid for lane in scheduler.pool.lanes]
            for number in range(20):
                dataplane.submit(request(payload(seed=number), f"s{number}"), answers, number)
            await scheduler.drain(time.monotonic() + 10)
            outcomes = await answers.all_of(20)
            assert {o.state for o in outcomes.values()} == {RequestState.DONE}
            assert not [pid for pid in pids if _lives(pid)]
            with pytest.raises(Exception, match="stopping or has a newer version"):
                await dataplane.infer(request(payload()))

    run(test())


def test_an_unknown_model_is_refused_by_name() -> None:
    async def test() -> None:
        async with serving("motion-int8") as (dataplane, scheduler, _):
            withdrawn = dataplane.withdraw("motion")
            assert withdrawn is scheduler
            with pytest.raises(UnknownModel, match="motion"):
                await dataplane.infer(request(payload()))

    run(test())


def test_nothing_is_left_open_after_many_lives() -> None:
    async def test() -> None:
        before = _descriptors()
        for _ in range(3):
            async with serving("motion-int8", lanes=2) as (dataplane, _, _seen):
                await dataplane.infer(request(payload()))
                with pytest.raises(WorkerCrashed):
                    await dataplane.infer(request(payload(KILL)))
        await asyncio.sleep(0.05)
        assert _descriptors() <= before + 1

    run(test())
