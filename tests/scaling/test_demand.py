"""When a model wants another lane, and when it could do without one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.scaling.demand import ModelDemand, needs_all, said, wants_more
from gateway.scaling.rules import Rules
from tests.scaling.driving import busy

RULES = Rules()


@pytest.mark.parametrize(
    ("seen", "wants"),
    [
        ({"busy": 0.8}, True),
        ({"busy": 0.79}, False),
        ({"busy": 0.5, "deadline_misses": 1}, True),
        ({"busy": 0.5, "oldest_wait_s": 0.26}, True),
        ({"busy": 0.5, "oldest_wait_s": 0.25}, False),
        ({"busy": 0.49, "deadline_misses": 100}, False),
    ],
)
def test_busy_lanes_want_another_and_late_requests_only_if_lanes_are_why(
    seen: dict[str, float], wants: bool
) -> None:
    assert wants_more(busy("a", **seen), RULES) is wants


@given(share=st.floats(0, 1), ready=st.integers(1, 16), late=st.booleans())
def test_who_could_do_with_one_lane_fewer_would_not_want_it_back(
    share: float, ready: int, late: bool
) -> None:
    demand = ModelDemand("a", ready=ready, busy=share, deadline_misses=int(late))
    if not needs_all(demand, RULES):
        fewer = ModelDemand("a", ready=ready - 1, busy=demand.busy_with(ready - 1))
        assert not wants_more(fewer, RULES)
        assert not wants_more(demand, RULES)


@pytest.mark.parametrize(
    ("lanes", "unused"),
    [
        ({"ready": 1, "idle": 1}, 0),
        ({"ready": 3, "idle": 1}, 1),
        ({"ready": 3, "idle": 3}, 2),
        ({"ready": 2, "starting": 2, "idle": 0}, 2),
        ({"ready": 3, "idle": 3, "min_lanes": 2}, 1),
    ],
)
def test_unused_are_idle_lanes_and_those_that_start_but_for_the_least_number(
    lanes: dict[str, int], unused: int
) -> None:
    assert busy("a", **lanes).unused_lanes == unused


def test_a_measured_cost_goes_before_a_bound() -> None:
    assert busy("a", lane_cost_bytes=5, cost_bound_bytes=9).cost_bytes == 5
    assert busy("a", lane_cost_bytes=None, cost_bound_bytes=9).cost_bytes == 9
    assert busy("a", lane_cost_bytes=-3, cost_bound_bytes=0).cost_bytes is None


def test_the_most_lanes_are_never_fewer_than_the_least() -> None:
    assert busy("a", max_lanes=0, min_lanes=2).most_lanes == 2


def test_a_model_without_streams_has_the_lowest_priority() -> None:
    assert busy("a", priorities=()).priority == 0
    assert busy("a", priorities=(2, 7)).priority == 7


def test_what_is_said_of_demand_has_its_numbers() -> None:
    text = said(busy("a", busy=0.97, queued_rows=12, oldest_wait_s=0.345, deadline_misses=3))
    assert text == "lanes 97% busy, 12 rows wait, the oldest for 0.34 s, 3 requests too late"
