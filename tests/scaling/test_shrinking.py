"""Whose lanes go first when memory is short."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.scaling.demand import ModelDemand
from gateway.scaling.shrinking import Retired, harm, retire
from tests.scaling.driving import MIB, busy, idle

models = st.builds(
    ModelDemand,
    model=st.sampled_from("abcdef"),
    ready=st.integers(1, 6),
    starting=st.integers(0, 3),
    idle=st.integers(0, 6),
    busy=st.floats(0, 1),
    deadline_misses=st.integers(0, 50),
    priorities=st.sampled_from(((0,), (5,), (0, 9))),
    lane_cost_bytes=st.none() | st.integers(1, 500).map(lambda count: count * MIB),
)
several = st.lists(models, max_size=6, unique_by=lambda each: each.model)


def gone(*demands: ModelDemand, needed: float = 1.0, every_unused: bool = False) -> dict[str, int]:
    return {each.demand.model: each.count for each in retire(demands, needed, every_unused=every_unused)}


def test_a_lane_that_holds_nothing_goes_first_even_of_an_important_model() -> None:
    assert gone(busy("a", ready=3), idle("b", ready=3, priorities=(9,))) == {"b": 1}


def test_a_lane_that_still_starts_holds_nothing() -> None:
    assert gone(busy("a", ready=3), busy("b", ready=3, starting=1, priorities=(9,))) == {"b": 1}


def test_then_the_lower_priority_loses_however_busy_it_is() -> None:
    assert gone(busy("a", ready=3, busy=1.0), busy("b", ready=3, busy=0.5, priorities=(1,))) == {"a": 1}


def test_then_the_model_whose_other_lanes_stay_less_busy() -> None:
    assert gone(busy("a", ready=2, busy=0.6), busy("b", ready=6, busy=0.7)) == {"b": 1}


def test_then_the_model_with_fewer_late_requests() -> None:
    assert gone(busy("a", ready=3, deadline_misses=4), busy("b", ready=3, deadline_misses=3)) == {"b": 1}


def test_then_the_lane_that_gives_back_more() -> None:
    assert gone(busy("a", ready=3), busy("b", ready=3, lane_cost_bytes=101 * MIB)) == {"b": 1}


def test_as_many_go_as_are_needed_and_the_harm_is_spread() -> None:
    two = (busy("a", ready=4), busy("b", ready=4))
    assert gone(*two, needed=350 * MIB) == {"a": 2, "b": 2}


def test_a_lane_of_unknown_cost_is_taken_to_be_enough() -> None:
    one = busy("a", ready=4, lane_cost_bytes=None)
    assert gone(one, needed=900 * MIB) == {"a": 1}


def test_in_an_emergency_every_lane_that_holds_nothing_goes() -> None:
    two = (idle("a", ready=4), busy("b", ready=4, idle=2))
    assert gone(*two, every_unused=True) == {"a": 3, "b": 2}


@given(demands=several, needed=st.floats(0, 2000 * MIB), every_unused=st.booleans())
def test_no_model_loses_its_last_lane_and_something_goes_if_anything_can(
    demands: list[ModelDemand], needed: float, every_unused: bool
) -> None:
    chosen = retire(demands, needed, every_unused=every_unused)
    assert all(each.lanes >= 1 and 0 <= each.unused <= each.count for each in chosen)
    assert bool(chosen) is any(demand.spare_lanes for demand in demands)
    freed = sum(each.count * (each.demand.cost_bytes or 0) for each in chosen)
    everything = all(demand.spare_lanes == _count(chosen, demand) for demand in demands)
    unknown = any(each.demand.cost_bytes is None for each in chosen)
    assert everything or unknown or freed >= needed


@given(demands=several, needed=st.floats(1, 2000 * MIB))
def test_the_first_to_lose_is_the_one_with_the_least_harm(demands: list[ModelDemand], needed: float) -> None:
    chosen = retire(demands, needed, every_unused=False)
    spare = [demand for demand in demands if demand.spare_lanes]
    if spare:
        assert min(spare, key=harm).model in {each.demand.model for each in chosen}


def _count(chosen: tuple[Retired, ...], demand: ModelDemand) -> int:
    return sum(each.count for each in chosen if each.demand.model == demand.model)
