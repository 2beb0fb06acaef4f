"""What another lane is reckoned to take, from what lanes were seen to take."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from gateway.daemon.lane_costs import Footprint, LaneCost, LaneCosts, footprint
from gateway.inference.lane import LaneState
from gateway.inference.scheduler import Scheduler
from gateway.scaling.sample import HOST, BoardReading, DeviceMemory, GpuReading, Sample, Source

_MIB = 1 << 20


@dataclass
class Body:
    """How a lane came to be."""

    loaded: bool
    fate: object | None = None


@dataclass
class SomeLane:
    """What is asked of a lane."""

    pid: int
    body: Body
    index: int
    state: LaneState = LaneState.READY


@dataclass
class SomePool:
    """What is asked of a pool."""

    ready_lanes: list[SomeLane]


@dataclass
class Model:
    """What is asked of a scheduler."""

    pool: SomePool


@dataclass
class Board:
    """What processes take, and what is available."""

    takes: Mapping[int, Footprint]
    asked: list[int] = field(default_factory=list)
    at_s: float = 0.0

    def __post_init__(self) -> None:
        self.costs = LaneCosts(self._read)

    def _read(self, pid: int) -> Footprint:
        self.asked.append(pid)
        return self.takes.get(pid, Footprint())

    def cost(
        self, lanes: Sequence[SomeLane], *, available: int = 1000, held: Mapping[int, int] | None = None
    ) -> LaneCost:
        self.at_s += 5.0
        memory = DeviceMemory(HOST, Source.MEMINFO, "here", 4096 * _MIB, available * _MIB)
        gpu = GpuReading("gpu0", "some", processes_bytes=held or {})
        sample = Sample(self.at_s, {HOST: memory}, board=BoardReading(gpus=(gpu,)))
        model = cast(Scheduler, Model(SomePool(list(lanes))))
        asyncio.run(self.costs.measure([("m", model)], sample))
        return self.costs.of("m")


def _lane(pid: int, *, loaded: bool = False, fate: object | None = None) -> SomeLane:
    return SomeLane(pid, Body(loaded, fate), pid)


def test_one_lane_gives_a_bound_which_is_what_loading_took() -> None:
    board = Board({1: Footprint(50 * _MIB, 120 * _MIB)})
    assert board.costs.of("m") == LaneCost()
    assert board.cost([_lane(1)]) == LaneCost(None, 120 * _MIB)


def test_lanes_that_divided_cost_what_they_have_for_themselves() -> None:
    board = Board({1: Footprint(50 * _MIB, 120 * _MIB), 2: Footprint(6 * _MIB, 7 * _MIB)})
    assert board.cost([_lane(1), _lane(2, loaded=True)]) == LaneCost(6 * _MIB, 120 * _MIB)
    assert board.cost([_lane(1)]) == LaneCost(6 * _MIB, 120 * _MIB)  # it is not forgotten when it goes


def test_lanes_that_each_load_cost_what_loading_takes() -> None:
    board = Board({1: Footprint(50 * _MIB, 120 * _MIB), 2: Footprint(52 * _MIB, 130 * _MIB)})
    assert board.cost([_lane(1), _lane(2)]) == LaneCost(130 * _MIB, 130 * _MIB)


def test_lanes_that_have_gone_cost_nothing_that_is_known() -> None:
    assert Board({}).cost([_lane(1), _lane(2)]) == LaneCost()


def test_a_thread_of_the_owner_cost_what_was_available_less_after_it_came() -> None:
    owner = object()
    board = Board({9: Footprint(300 * _MIB, 400 * _MIB)})
    first, second = (SomeLane(9, Body(loaded=False, fate=owner), index) for index in (1, 2))
    assert board.cost([first], available=1000, held={9: 700 * _MIB}) == LaneCost(None, 700 * _MIB)
    assert board.cost([first, second], available=960) == LaneCost(40 * _MIB, 400 * _MIB)
    assert board.cost([first], available=1000) == LaneCost(40 * _MIB, 400 * _MIB)


def test_more_memory_than_before_says_nothing_of_a_lane() -> None:
    owner = object()
    board = Board({9: Footprint(300 * _MIB, 400 * _MIB)})
    first, second = (SomeLane(9, Body(loaded=False, fate=owner), index) for index in (1, 2))
    board.cost([first], available=1000)
    assert board.cost([first, second], available=1100) == LaneCost(None, 400 * _MIB)


def test_what_has_not_changed_is_measured_once_a_minute() -> None:
    board = Board({1: Footprint(50 * _MIB, 50 * _MIB)})
    for _ in range(10):
        board.cost([_lane(1)])
    assert board.asked == [1]
    for _ in range(10):
        board.cost([_lane(1)])
    assert board.asked == [1, 1]


def test_a_model_that_serves_no_longer_is_forgotten() -> None:
    board = Board({1: Footprint(50 * _MIB, 50 * _MIB)})
    board.cost([_lane(1)])
    asyncio.run(board.costs.measure([], Sample(99.0, {})))
    assert board.costs.of("m") == LaneCost()


def test_a_real_process_has_a_footprint_and_one_that_has_gone_has_none() -> None:
    here = footprint(os.getpid())
    assert 0 < here.own_bytes <= here.peak_bytes
    assert footprint(2**22 + 1) == Footprint()
