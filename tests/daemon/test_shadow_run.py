"""Copies of live frames: never in the way of their originals, and fair to the candidate."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gateway.daemon.service_watch import ServiceWatch
from gateway.daemon.shadow_run import ShadowRun
from gateway.errors import EngineFailed, GatewayError, NotReady, Overloaded, ShadowFailed
from gateway.inference.dataplane import DataPlane
from gateway.inference.request import InferRequest, OnDone, Outcome, RequestState, TensorBytes
from gateway.updates.shadow import ShadowGates, ShadowTally, ShadowVerdict
from tests.daemon.update_world import Silent


@dataclass
class Scheduler:
    """Answers at once with what it is told to answer."""

    outcome: Outcome
    queued: int = 0
    in_flight: int = 0
    pool: Any = field(default_factory=lambda: SimpleNamespace(pids=(), ready=1))
    seen: list[InferRequest] = field(default_factory=list)

    def submit(self, request: InferRequest, on_done: OnDone, _context: object = None) -> None:
        self.seen.append(request)
        on_done(None, self.outcome)  # type: ignore[arg-type]


def _says(label: str) -> Outcome:
    return Outcome(RequestState.DONE, {"kind": "classification", "classes": [{"label": label}]})


def _failed(error: GatewayError) -> Outcome:
    return Outcome(RequestState.FAILED, error=error)


def _request(*, ordered: bool = False) -> InferRequest:
    return InferRequest("door", "p", "s", b"frame", "{}", arrived_s=0.0, deadline_s=1.0, ordered=ordered)


class World:
    """A live model and its candidate."""

    def __init__(self, frames: int = 3) -> None:
        self.dataplane = DataPlane()
        self.live, self.copy = Scheduler(_says("cat")), Scheduler(_says("cat"))
        self.dataplane.serve("door", self.live)  # type: ignore[arg-type]
        self.watch = ServiceWatch(Silent())
        candidate: Any = SimpleNamespace(name="door", scheduler=self.copy, watch=self.watch)
        self.tally = ShadowTally(ShadowGates(frames, 0.9))
        self.run = ShadowRun(self.dataplane, candidate, self.tally)
        self.answers: list[Outcome] = []

    def frame(self, *, ordered: bool = False) -> None:
        self.dataplane.submit(_request(ordered=ordered), lambda _, outcome: self.answers.append(outcome))


def _verdict(world: Callable[[], World], scenario: Callable[[World], Awaitable[None]]) -> ShadowVerdict:
    async def whole() -> ShadowVerdict:
        made = world()
        judging = asyncio.ensure_future(made.run.verdict(3600.0))
        await asyncio.sleep(0)
        await scenario(made)
        return await judging

    return asyncio.run(whole())


def test_every_original_is_answered_and_equal_answers_agree() -> None:
    async def scenario(world: World) -> None:
        for _ in range(3):
            world.frame()
        assert world.answers == [world.live.outcome] * 3

    assert _verdict(World, scenario).passed


@pytest.mark.parametrize(("values", "passes"), [([0.1, 0.9], True), ([0.9, -0.9], False)])
def test_tensors_that_were_asked_for_without_a_pipeline_are_compared_as_numbers(
    values: list[float], passes: bool
) -> None:
    def gave(values: list[float]) -> Outcome:
        data = np.array(values, np.float32).tobytes()
        return Outcome(RequestState.DONE, tensors=(TensorBytes("y", "float32", (1, 2), data),))

    async def scenario(world: World) -> None:
        world.live.outcome, world.copy.outcome = gave([0.1, 0.9]), gave(values)
        for _ in range(3):
            world.frame()

    assert _verdict(World, scenario).passed is passes


def test_a_candidate_that_fails_where_the_live_one_answers_does_not_agree() -> None:
    async def scenario(world: World) -> None:
        world.copy.outcome = _failed(EngineFailed("no"))
        world.frame()
        assert world.answers == [world.live.outcome]

    assert not _verdict(World, scenario).passed


@pytest.mark.parametrize(
    "outcome", [_failed(Overloaded("full")), Outcome(RequestState.EXPIRED, error=ShadowFailed("late"))]
)
def test_a_busy_machine_is_not_held_against_a_candidate(outcome: Outcome) -> None:
    async def scenario(world: World) -> None:
        good, world.copy.outcome = world.copy.outcome, outcome
        for _ in range(5):
            world.frame(ordered=True)
        assert world.tally.compared == 0
        world.copy.outcome = good
        for _ in range(3):
            world.frame()

    assert _verdict(World, scenario).passed


def test_a_busy_candidate_gets_no_copy_but_of_streams_that_must_be_seen_in_order() -> None:
    async def scenario(world: World) -> None:
        world.copy.in_flight = 1
        world.frame()
        assert world.copy.seen == []
        for _ in range(3):
            world.frame(ordered=True)

    assert _verdict(World, scenario).frames == 3


def test_a_candidate_whose_workers_die_has_failed_and_is_not_merely_hindered() -> None:
    async def scenario(world: World) -> None:
        world.watch.out_of_service("door", NotReady("five of them"))

    verdict = _verdict(World, scenario)
    assert not verdict.passed
    assert "five of them" in verdict.words


def test_without_frames_there_is_no_verdict_and_nobody_looks_on_any_more() -> None:
    async def whole() -> None:
        world = World()
        with pytest.raises(ShadowFailed, match="only 0 frames"):
            await world.run.verdict(0.01)
        world.frame()
        assert world.copy.seen == []
        assert world.watch.on_lost is None

    asyncio.run(whole())
