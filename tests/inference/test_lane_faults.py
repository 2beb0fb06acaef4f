"""What must not cost more than itself: callers that raise, senseless answers, forks that fail."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from dataclasses import replace
from typing import Any

import pytest

from gateway.configuration.settings import StepSettings
from gateway.errors import GatewayBug, WorkerCrashed
from gateway.inference.lane import _Channel
from gateway.inference.request import Outcome, RequestState, Ticket
from gateway.inference.wire import encode
from tests.inference.bench_of_lanes import PIPELINE, PLUGINS, ROOT, payload, request, serving, spec
from tests.inference.test_scheduler import Answers, run, until
from tests.plugins.trouble_steps import SLOW


@pytest.fixture(autouse=True)
def _plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{PLUGINS}{os.pathsep}{ROOT}")


def test_a_caller_that_raises_costs_its_batch_mates_nothing() -> None:
    def raises(_ticket: Ticket, _outcome: Outcome) -> None:
        raise ValueError("the caller's own bug")

    async def test() -> None:
        async with serving() as (dataplane, _, seen):
            answers = Answers()
            dataplane.submit(request(payload(SLOW), "slow"), answers, "slow")
            dataplane.submit(request(payload(), "bad"), raises, "bad")
            for number in range(3):
                dataplane.submit(request(payload(), f"s{number}"), answers, number)
            outcomes = await answers.all_of(4)
            assert {o.state for o in outcomes.values()} == {RequestState.DONE}
            assert seen.lost == []
            assert "the caller's own bug" in seen.outages[0]

    run(test())


@pytest.mark.parametrize(
    "head",
    [
        {"t": "done", "n": 0, "started": 0.0, "ended": 1.0, "members": []},
        {"t": "done", "n": 7, "started": 0.0, "ended": 1.0, "members": [[None, None, 0, {}]]},
        {"t": "done", "n": 0, "members": [[None, None, 0, {}]]},
        {"t": "done", "n": 0, "started": 0.0, "ended": 1.0, "members": [["too", "short"]]},
    ],
)
def test_a_senseless_answer_ends_the_worker_and_answers_its_batch(head: dict[str, Any]) -> None:
    async def test() -> None:
        async with serving("motion-int8") as (dataplane, scheduler, seen):
            answers = Answers()
            dataplane.submit(request(payload(SLOW)), answers, "one")
            (lane,) = scheduler.pool.lanes
            _Channel(lane).data_received(encode(head))
            outcomes = await answers.all_of(1)
            assert isinstance(outcomes["one"].error, WorkerCrashed)
            assert len(seen.lost) == 1
            assert (await dataplane.infer(request(payload()))).state is RequestState.DONE

    run(test())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda each: each.name)
def test_what_reaches_the_whole_group_is_the_front_ends_to_heed(number: signal.Signals) -> None:
    async def test() -> None:
        async with serving("motion-int8") as (dataplane, scheduler, seen):
            (pid,) = scheduler.pool.pids
            os.kill(pid, number)
            assert (await dataplane.infer(request(payload()))).state is RequestState.DONE
            assert (scheduler.pool.pids, seen.lost) == ([pid], [])

    run(test())


def test_a_prediction_that_json_cannot_say_is_the_fault_of_its_step_alone() -> None:
    async def test() -> None:
        async with serving() as (dataplane, scheduler, seen):
            odd = replace(PIPELINE, name="odd", postprocess=(StepSettings("nonsense", {}),))
            await scheduler.set_pipelines(replace(spec(), pipelines=(PIPELINE, odd)))
            answers = Answers()
            dataplane.submit(request(payload(SLOW), "slow"), answers, "slow")
            dataplane.submit(request(payload(), "odd")._replace(pipeline="odd"), answers, "odd")
            dataplane.submit(request(payload(), "good"), answers, "good")
            outcomes = await answers.all_of(3)
            assert isinstance(outcomes["odd"].error, GatewayBug)
            assert outcomes["good"].state is RequestState.DONE
            assert seen.lost == []

    run(test())


def test_two_canaries_at_once_harm_nobody() -> None:
    async def test() -> None:
        async with serving("motion-int8", run_timeout_s=2.0) as (dataplane, scheduler, seen):
            (lane,) = scheduler.pool.lanes
            await asyncio.gather(lane.canary(5.0), lane.canary(5.0))
            assert (await dataplane.infer(request(payload()))).state is RequestState.DONE
            assert seen.lost == []

    run(test())


@pytest.mark.parametrize("question", ["canary", "pipelines"])
def test_what_comes_while_the_only_lane_is_asked_runs_once_it_has_answered(question: str) -> None:
    async def test() -> None:
        async with serving("motion-int8") as (dataplane, scheduler, _):
            (lane,) = scheduler.pool.lanes
            os.kill(lane.pid, signal.SIGSTOP)
            asked: asyncio.Future[Any] = asyncio.ensure_future(
                scheduler.pool.canary(time.monotonic())
                if question == "canary"
                else scheduler.set_pipelines(spec("motion-int8"))
            )
            await until(lambda: lane.is_asked)
            answers = Answers()
            # Nothing else comes that would have the queue looked at, but its deadline.
            dataplane.submit(request(payload(), patience_s=5.0), answers, "meanwhile")
            os.kill(lane.pid, signal.SIGCONT)
            await asked
            outcomes = await answers.all_of(1)
            assert outcomes["meanwhile"].state is RequestState.DONE

    run(test())


def test_a_closed_lane_leaves_no_question_open() -> None:
    async def test() -> None:
        async with serving("motion-int8") as (dataplane, scheduler, _):
            answers = Answers()
            dataplane.submit(request(payload(SLOW)), answers, "busy")
            (lane,) = scheduler.pool.lanes
            asked = asyncio.ensure_future(lane.canary(30.0))
            await asyncio.sleep(0)
            await lane.close()
            with pytest.raises(WorkerCrashed, match="closed"):
                await asyncio.wait_for(asked, 5.0)

    run(test())


def test_a_replacement_that_cannot_be_forked_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    fork = asyncio.create_subprocess_exec
    failures = [OSError(11, "Resource temporarily unavailable")] * 2

    async def flaky(*arguments: Any, **options: Any) -> asyncio.subprocess.Process:
        if failures:
            raise failures.pop()
        return await fork(*arguments, **options)

    async def test() -> None:
        async with serving("motion-int8") as (dataplane, scheduler, seen):
            monkeypatch.setattr(asyncio, "create_subprocess_exec", flaky)
            scheduler.pool.lanes[0].kill("test")
            await until(lambda: len(seen.lost) == 1)
            outcome = await dataplane.infer(request(payload()))
            assert outcome.state is RequestState.DONE
            assert failures == []

    run(test())


def test_a_lane_without_a_process_is_not_told_as_process_zero_which_would_be_everybody() -> None:
    async def test() -> None:
        async with serving("motion-int8") as (_, scheduler, _):
            pool = scheduler.pool
            (first,) = pool.pids
            pool.resize(2)
            while len(pool.lanes) == 1:  # noqa: ASYNC110 - a turn of the loop later it may have its process
                await asyncio.sleep(0)
            assert [lane.pid for lane in pool.lanes] == [first, 0]
            assert pool.pids == [first]
            await until(lambda: pool.ready == 2)
            assert sorted(pool.pids) == sorted(lane.pid for lane in pool.lanes)

    run(test())


def test_a_lane_that_starts_while_pipelines_change_learns_the_new_ones() -> None:
    async def test() -> None:
        async with serving("motion-int8") as (dataplane, scheduler, _):
            scheduler.pool.resize(2)
            await asyncio.sleep(0)
            extra = replace(PIPELINE, name="extra")
            await scheduler.set_pipelines(replace(spec("motion-int8"), pipelines=(PIPELINE, extra)))
            await until(lambda: scheduler.pool.ready == 2)
            answers = Answers()
            for number in range(12):
                asked = request(payload(SLOW), f"s{number}")._replace(pipeline="extra")
                dataplane.submit(asked, answers, number)
            outcomes = await answers.all_of(12)
            assert {o.state for o in outcomes.values()} == {RequestState.DONE}

    run(test())
