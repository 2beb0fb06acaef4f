"""The autoscaler on real lanes: memory is scripted, demand and lanes are real."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from gateway.configuration.settings import (
    ModelSettings,
    PipelineSettings,
    ScalingSettings,
    Settings,
    StepSettings,
)
from gateway.daemon.autoscaler import Autoscaler
from gateway.daemon.demand_watch import DemandWatch
from gateway.daemon.fleet import Fleet
from gateway.daemon.lane_costs import Footprint, LaneCosts
from gateway.errors import OutOfMemory
from gateway.inference.batching import BatchLimits
from gateway.inference.dataplane import DataPlane
from gateway.inference.limits import PoolLimits, SchedulerLimits
from gateway.inference.loaded import PipelineSpec
from gateway.inference.request import InferRequest, Outcome, RequestState, Ticket
from gateway.inference.scheduler import Scheduler
from gateway.operations.metrics import Metrics
from gateway.operations.restart import RestartLimits
from gateway.scaling.demand import ModelDemand
from gateway.scaling.sample import HOST, DeviceMemory, Pressure, Sample, Source
from tests.inference.bench_of_lanes import PLUGINS, ROOT, Seen, payload, request, spec
from tests.inference.test_scheduler import run, until

_GIB = 1 << 30
_DOZING = PipelineSpec(
    "motion",
    (StepSettings("window", {"carry": False}),),
    (StepSettings("doze", {"milliseconds": 30.0}),),
)
_SCALING = ScalingSettings(sample_interval_s=1000.0, cooldown_s=0.0, idle_s=1000.0, reserve_bytes=0)


@pytest.fixture(autouse=True)
def _plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{PLUGINS}{os.pathsep}{ROOT}")


@dataclass
class Scripted:
    """A board whose memory the test says; time passes in its samples alone."""

    autoscaler: Autoscaler
    scheduler: Scheduler
    dataplane: DataPlane
    watch: DemandWatch
    metrics: Metrics
    hurried: list[bool]
    at_s: float = field(default_factory=time.monotonic)

    async def look(self, used: float, times: int = 1) -> None:
        """Take so many samples in which so much of the memory is in use."""
        for _ in range(times):
            self.at_s += 1000.0
            available = int(8 * _GIB * (1 - used))
            memory = DeviceMemory(HOST, Source.MEMINFO, "as the test says", 8 * _GIB, available)
            await self.autoscaler.look(Sample(self.at_s, {HOST: memory}))

    async def keep_busy(self, until_over: asyncio.Event) -> None:
        """Keep every lane at work until the event is set."""

        async def one(number: int) -> None:
            while not until_over.is_set():
                await self.dataplane.infer(request(payload(), f"s{number}"))

        await asyncio.gather(*(one(number) for number in range(6)))


class _Samples:
    def __init__(self, hurried: list[bool]) -> None:
        self._hurried = hurried

    async def next_sample(self) -> Sample:
        raise AssertionError("the test looks by itself")

    def hurry(self) -> None:
        self._hurried.append(True)


@contextlib.asynccontextmanager
async def scripted(lanes: int = 1, **scaling: object) -> AsyncIterator[Scripted]:
    settings = Settings(
        models={"motion": ModelSettings(str(ROOT / "models" / "motion-int8"), lanes=lanes, max_lanes=3)},
        pipelines={
            "low": PipelineSettings("motion", priority=0),
            "high": PipelineSettings("motion", priority=5),
        },
        scaling=_SCALING,
    )
    watch, metrics, hurried = DemandWatch(Seen()), Metrics(), list[bool]()
    limits = SchedulerLimits(BatchLimits(1, 256), PoolLimits(5.0, 60.0, RestartLimits(0.01, 0.1, 50, 60.0)))
    scheduler = Scheduler(spec("motion-int8", _DOZING), lanes=lanes, limits=limits, observer=watch)
    await scheduler.start()
    dataplane = DataPlane()
    dataplane.serve("motion", scheduler)
    costs = LaneCosts(lambda _pid: Footprint(50 << 20, 60 << 20))
    fleet = Fleet(dataplane.serving, watch, costs, lambda: settings)
    autoscaler = Autoscaler(_Samples(hurried), fleet, watch, metrics, settings.scaling)
    try:
        yield Scripted(autoscaler, scheduler, dataplane, watch, metrics, hurried)
    finally:
        await scheduler.close()


async def _busy_samples(board: Scripted, used: float, times: int) -> None:
    """Take samples between which the lanes work."""
    over = asyncio.Event()
    working = asyncio.ensure_future(board.keep_busy(over))
    try:
        for _ in range(times):
            seen = len(board.scheduler.pool.lanes)
            await asyncio.sleep(0.3)  # what is measured is how busy lanes were meanwhile
            await board.look(used)
            await until(lambda: board.scheduler.pool.ready == board.scheduler.pool.wanted)
            assert len(board.scheduler.pool.lanes) <= seen + 1
    finally:
        over.set()
        await working


def test_lanes_that_stay_busy_get_more_of_them_one_at_a_time_up_to_the_most() -> None:
    async def test() -> None:
        async with scripted() as board:
            await _busy_samples(board, 0.5, 2)
            assert board.scheduler.pool.ready == 1
            await _busy_samples(board, 0.5, 12)
            assert board.scheduler.pool.ready == 3
            assert (("motion", "grow", "demand"), 2) in board.metrics.scaling_decisions.values()
            last = board.autoscaler.status()["models"]
            assert isinstance(last, list)
            assert last[0]["last"]["reason"] == "at_max"

    run(test())


def test_above_the_mark_lanes_go_and_then_low_priorities_wait_until_there_is_room_again() -> None:
    async def test() -> None:
        async with scripted(lanes=3) as board:
            assert board.autoscaler.admits("motion", 0)
            await board.look(0.9, 2)
            assert board.scheduler.pool.wanted == 3
            await board.look(0.9)
            assert board.scheduler.pool.wanted < 3
            await board.look(0.9, 12)
            assert board.scheduler.pool.wanted == 1
            assert not board.autoscaler.admits("motion", 0)
            assert board.autoscaler.admits("motion", 5)
            assert board.autoscaler.paused() == {HOST: 0}
            await board.look(0.5, 12)
            assert board.autoscaler.admits("motion", 0)
            assert board.autoscaler.paused() == {}
            await until(lambda: len(board.scheduler.pool.lanes) == 1)
            await board.dataplane.infer(request(payload()))

    run(test())


def test_an_allocation_that_failed_retires_lanes_at_once() -> None:
    async def test() -> None:
        async with scripted(lanes=3) as board:
            await board.look(0.5)
            asked = InferRequest("motion", "motion", "s", b"", "{}", 0.0, 1.0)
            ticket = Ticket(1, asked, lambda _t, _o: None)
            error = OutOfMemory("no memory for a batch of 1")
            board.watch.request_ended(ticket, Outcome(RequestState.FAILED, error=error))
            assert board.scheduler.pool.wanted < 3

    run(test())


def test_a_lane_that_was_killed_has_the_next_sample_taken_at_once() -> None:
    async def test() -> None:
        async with scripted(lanes=2) as board:
            os.kill(board.scheduler.pool.lanes[0].pid, 9)
            await until(lambda: board.hurried == [True])
            await until(lambda: board.scheduler.pool.ready == 2)

    run(test())


def test_without_scaling_lanes_stay_as_they_are_and_all_frames_are_taken() -> None:
    async def test() -> None:
        async with scripted(lanes=3) as board:
            await board.look(0.9, 20)
            assert not board.autoscaler.admits("motion", 0)
            board.autoscaler.reconfigure(ScalingSettings(enabled=False))
            assert board.autoscaler.admits("motion", 0)
            assert board.scheduler.pool.wanted == 3  # the lanes that it starts with
            await board.look(0.95, 20)
            assert board.scheduler.pool.wanted == 3

    run(test())


class _Board:
    """Hands a sample to whoever waits for it, and to nobody else, as telemetry does."""

    def __init__(self) -> None:
        self.waiting: asyncio.Future[Sample] | None = None

    async def next_sample(self) -> Sample:
        self.waiting = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self.waiting)

    def hurry(self) -> None:
        pass

    def give(self, sample: Sample) -> None:
        waiting, self.waiting = self.waiting, None
        if waiting is not None:
            waiting.set_result(sample)


def test_a_kill_that_is_told_while_lanes_are_measured_is_acted_upon() -> None:
    async def test() -> None:
        async with scripted(lanes=3) as board:
            samples, measuring, go_on = _Board(), asyncio.Event(), asyncio.Event()
            fleet = board.autoscaler._fleet
            really = fleet.demands

            async def slow(sample: Sample) -> tuple[ModelDemand, ...]:
                measuring.set()
                await go_on.wait()
                return await really(sample)

            fleet.demands = slow  # type: ignore[method-assign]
            board.autoscaler._samples = samples
            running = asyncio.ensure_future(board.autoscaler.run())
            memory = {HOST: DeviceMemory(HOST, Source.MEMINFO, "as the test says", 8 * _GIB, 4 * _GIB)}
            await until(lambda: samples.waiting is not None)
            samples.give(Sample(board.at_s + 1000.0, memory))
            await measuring.wait()
            await asyncio.sleep(0)
            samples.give(Sample(board.at_s + 2000.0, memory, Pressure("psi", oom_kills=1)))
            go_on.set()
            await until(lambda: board.scheduler.pool.wanted < 3)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    run(test())


def test_paused_frames_are_taken_again_when_no_sample_comes_any_more() -> None:
    async def test() -> None:
        async with scripted(lanes=1) as board:
            await board.look(0.9, 12)
            assert not board.autoscaler.admits("motion", 0)
            board.autoscaler._looked_s -= 13 * 1000.0
            assert board.autoscaler.admits("motion", 0)
            await board.look(0.9)
            assert not board.autoscaler.admits("motion", 0)

    run(test())
