"""Lanes in one GPU owner: the real process, real models on the processor, a provider that goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import EngineFailed, LoadFailed, NotReady, OutOfMemory, WorkerCrashed
from gateway.inference.engines.engine import EngineOptions
from gateway.inference.owner_words import EXIT_HUNG, EXIT_STICKY
from gateway.inference.request import RequestState
from gateway.operations.restart import RestartLimits
from tests.inference.bench_of_lanes import PLUGINS, ROOT, payload, serving
from tests.inference.bench_of_owner import FAKE, asked, housing, lives, named
from tests.inference.test_scheduler import Answers, run, until
from tests.plugins.trouble_steps import HANG, KILL, NO_MEMORY, RAISE, SLOW

Play = Callable[..., None]


@pytest.fixture(autouse=True)
def play(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Play:
    """Write the script by which the fake provider goes wrong."""
    path = tmp_path / "script.json"
    monkeypatch.setenv("PYTHONPATH", f"{PLUGINS}{os.pathsep}{ROOT}")
    monkeypatch.setenv("ORT_FAKE_PROVIDER", str(path))

    def write(**script: Any) -> None:
        beside = path.with_suffix(".new")
        beside.write_text(json.dumps(script))
        beside.replace(path)

    write()
    return write


@pytest.mark.parametrize("model", ["motion-int8-onnx", "motion-int8"])
def test_two_models_with_two_lanes_each_answer_as_processes_do_to_the_last_bit(model: str) -> None:
    async def test() -> None:
        async with serving(model) as (dataplane, _, _seen):
            alone = [(await dataplane.infer(asked("motion", payload(seed=n)))).prediction for n in range(24)]
        async with housing() as house:
            for name in ("left", "right"):
                await house.serve(named(name, model=model), lanes=2)
            pids = {lane.pid for each in house.schedulers.values() for lane in each.pool.lanes}
            assert pids == {house.owner.pid}
            answers = Answers()
            for number in range(24):
                for name in ("left", "right"):
                    data = payload(seed=number)
                    house.dataplane.submit(asked(name, data, f"s{number}"), answers, (name, number))
            outcomes = await answers.all_of(48)
            for name in ("left", "right"):
                assert [outcomes[name, number].prediction for number in range(24)] == alone

    run(test())


def test_a_lost_gpu_ends_the_owner_with_its_own_code_and_every_request_ends_once(play: Play) -> None:
    async def test() -> None:
        async with housing() as house:
            await house.serve(named("bad", FAKE))
            await house.serve(named("good"), lanes=2)
            first = house.owner.pid
            answers = Answers()
            for number in range(2):
                house.dataplane.submit(asked("good", payload(SLOW), f"g{number}"), answers, f"good {number}")
            await until(lambda: house.schedulers["good"].in_flight == 2)
            play(run="sticky")
            house.dataplane.submit(asked("bad", payload()), answers, "bad")
            await until(lambda: len(house.seen["bad"].lost) == 1)
            play()
            outcomes = await answers.all_of(3)
            assert isinstance(outcomes["bad"].error, WorkerCrashed)
            # Those of the other model were not at fault: they ran once more, and are no suspects.
            assert {outcomes[f"good {n}"].state for n in range(2)} == {RequestState.DONE}
            assert house.schedulers["good"].quarantined == 0
            (reason,) = house.seen["bad"].lost
            assert f"exited with code {EXIT_STICKY}: " in reason
            assert "an illegal memory access was encountered" in reason
            assert not lives(first)
            assert (await house.dataplane.infer(asked("bad", payload()))).state is RequestState.DONE
            assert house.owner.pid not in (0, first)

    run(test())


def test_batch_mates_of_a_lost_gpu_run_alone_on_the_next_owner(play: Play) -> None:
    async def test() -> None:
        async with housing() as house:
            await house.serve(named("bad", FAKE))
            answers = Answers()
            house.dataplane.submit(asked("bad", payload(SLOW), "slow"), answers, "slow")
            for number in range(4):
                house.dataplane.submit(asked("bad", payload(seed=number), f"s{number}"), answers, number)
            play(run="sticky", after=0)
            await until(lambda: len(house.seen["bad"].lost) == 1)
            play()
            outcomes = await answers.all_of(5)
            assert {outcomes[number].state for number in range(4)} == {RequestState.DONE}
            assert isinstance(outcomes["slow"].error, WorkerCrashed)

    run(test())


def test_a_gpu_that_is_lost_while_a_model_loads_fails_that_load_by_name(play: Play) -> None:
    async def test() -> None:
        async with housing() as house:
            good = await house.serve(named("good"))
            play(run="sticky")
            with pytest.raises(EngineFailed, match="an illegal memory access"):
                await house.serve(named("bad", FAKE))
            await until(lambda: len(house.seen["good"].lost) == 1)
            play()
            assert (await house.dataplane.infer(asked("good", payload()))).state is RequestState.DONE
            assert good.pool.in_service

    run(test())


@pytest.mark.parametrize("where", ["run", "load"])
def test_the_owner_gets_over_a_lack_of_memory(play: Play, where: str) -> None:
    async def test() -> None:
        async with housing() as house:
            await house.serve(named("model", FAKE))
            first = house.owner.pid
            play(**{where: "oom"})
            if where == "run":
                with pytest.raises(OutOfMemory, match="Failed to allocate"):
                    await house.dataplane.infer(asked("model", payload()))
                with pytest.raises(OutOfMemory):
                    await house.dataplane.infer(asked("model", payload(NO_MEMORY)))
            else:
                with pytest.raises(OutOfMemory, match="Failed to allocate"):
                    await house.serve(named("other", EngineOptions(providers=FAKE.providers, exact=True)))
            play()
            assert (await house.dataplane.infer(asked("model", payload()))).state is RequestState.DONE
            assert house.owner.pid == first
            assert house.seen["model"].lost == []

    run(test())


def test_other_models_answer_while_an_engine_is_built_and_its_progress_is_told(play: Play) -> None:
    async def test() -> None:
        async with housing() as house:
            await house.serve(named("good"), lanes=2)
            play(build_s=1.5, build_steps=3)
            building = asyncio.ensure_future(house.serve(named("slow", FAKE)))
            await until(lambda: any(what.startswith("building") for _, what, _ in house.progress))
            answered = 0
            while not building.done():
                assert (await house.dataplane.infer(asked("good", payload()))).state is RequestState.DONE
                answered += 1
            await building
            told = [what for model, what, _ in house.progress if model == "slow"]
            for step in range(1, 4):
                assert f"building an engine: {step} of 3" in told
            assert answered > 3
            assert house.seen["good"].lost == []

    run(test())


def test_builds_wait_for_each_other_and_the_wait_counts_against_no_limit(play: Play) -> None:
    async def test() -> None:
        async with housing() as house:
            limit_s = 4.0  # two builds take longer than it, and one has room for a busy machine
            play(build_s=2.4)
            one = house.scheduler(named("one", FAKE), load_timeout_s=limit_s)
            two = house.scheduler(
                named("two", EngineOptions(providers=FAKE.providers, exact=True)), load_timeout_s=limit_s
            )
            three = house.scheduler(
                named("three", EngineOptions(providers=FAKE.providers, precision="fp16")),
                load_timeout_s=limit_s,
            )
            await asyncio.gather(one.start(), two.start(), three.start())
            order = [model for model, what, _ in house.progress if what.startswith("building")]
            turns = [model for index, model in enumerate(order) if index == 0 or order[index - 1] != model]
            assert sorted(turns) == ["one", "three", "two"]  # each had the turn once, from start to end
            waited = max(seconds for _, what, seconds in house.progress if what == "wait")
            assert waited > limit_s

    run(test())


def test_a_build_beyond_its_limit_fails_alone_and_the_owner_serves_on(play: Play) -> None:
    async def test() -> None:
        async with housing() as house:
            await house.serve(named("good"))
            first = house.owner.pid
            play(build_s=2.0)
            with pytest.raises(EngineFailed, match="longer than 1 s"):
                await house.serve(named("slow", FAKE), load_timeout_s=1.0)
            assert house.owner.pid == first
            assert (await house.dataplane.infer(asked("good", payload()))).state is RequestState.DONE
            assert house.seen["good"].lost == []

    run(test())


def test_a_lane_that_hangs_takes_the_owner_along_and_says_so() -> None:
    async def test() -> None:
        async with housing() as house:
            await house.serve(named("bad"), run_timeout_s=1.5)
            await house.serve(named("good"), run_timeout_s=30.0)
            answers = Answers()
            house.dataplane.submit(asked("bad", payload(HANG)), answers, "bad")
            await until(lambda: house.schedulers["bad"].in_flight == 1)
            outcomes = await answers.all_of(1)
            assert isinstance(outcomes["bad"].error, WorkerCrashed)
            (reason,) = house.seen["bad"].lost
            assert f"exited with code {EXIT_HUNG} (a batch ran longer than 1.5 s)" in reason
            assert "a lane of model bad hangs, and none ends alone" in reason
            for name in ("bad", "good"):
                assert (await house.dataplane.infer(asked(name, payload()))).state is RequestState.DONE

    run(test())


def test_a_bug_in_one_lane_costs_that_lane_alone() -> None:
    async def test() -> None:
        async with housing() as house:
            scheduler = await house.serve(named("model"), lanes=2)
            first = house.owner.pid
            with pytest.raises(Exception, match="a bug in a step"):
                await house.dataplane.infer(asked("model", payload(RAISE)))
            lane = scheduler.pool.lanes[0]
            assert lane._transport is not None
            lane._transport.write(b"\x01\x00\x00\x00\x00\x00\x00\x00{")  # what is no message
            await until(lambda: len(house.seen["model"].lost) == 1)
            assert "JSONDecodeError" in house.seen["model"].lost[0]
            await until(lambda: scheduler.pool.ready == 2)
            assert house.owner.pid == first

    run(test())


@pytest.mark.parametrize("lanes", [1, 4])
def test_a_killed_owner_counts_as_one_crash_and_another_one_serves(lanes: int) -> None:
    async def test() -> None:
        async with housing() as house:
            scheduler = await house.serve(named("model"), lanes=lanes)
            with contextlib.suppress(WorkerCrashed):
                await house.dataplane.infer(asked("model", payload(KILL)))
            await until(lambda: len(house.seen["model"].lost) == lanes)
            assert all("was ended by SIGKILL" in reason for reason in house.seen["model"].lost)
            assert len(scheduler.pool._restart._crashes_s) == 1
            assert (await house.dataplane.infer(asked("model", payload()))).state is RequestState.DONE

    run(test())


def test_a_model_at_fault_goes_out_of_service_and_the_others_stay(play: Play) -> None:
    async def test() -> None:
        async with housing() as house:
            bad, good = house.scheduler(named("bad", FAKE)), await house.serve(named("good"))
            bad.pool._restart._limits = RestartLimits(0.01, 0.02, 3, 60.0)
            await bad.start()
            house.dataplane.serve("bad", bad)
            play(run="sticky")
            with contextlib.suppress(WorkerCrashed, NotReady):
                await house.dataplane.infer(asked("bad", payload()))
            await until(lambda: not bad.pool.in_service)
            assert (await house.dataplane.infer(asked("good", payload()))).state is RequestState.DONE
            assert len(good.pool._restart._crashes_s) == 0

    run(test())


def test_a_model_that_is_not_there_fails_alone() -> None:
    async def test() -> None:
        async with housing() as house:
            await house.serve(named("good"))
            first = house.owner.pid
            with pytest.raises(LoadFailed):
                await house.serve(named("absent", model="no-such-model"))
            assert (await house.dataplane.infer(asked("good", payload()))).state is RequestState.DONE
            assert house.owner.pid == first

    run(test())
