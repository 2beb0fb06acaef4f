"""What stands between a model and another lane."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.scaling.decisions import LASTING, Reason
from gateway.scaling.demand import ModelDemand
from gateway.scaling.growing import Ground, obstacle
from gateway.scaling.regret import Regret
from gateway.scaling.rules import Rules
from gateway.scaling.sample import DeviceMemory
from gateway.scaling.streaks import ModelMemory
from tests.scaling.driving import MIB, TOTAL, busy, memory

RULES = Rules()


def ground(**more: Any) -> Ground:
    values: dict[str, Any] = {
        "at_s": 100.0,
        "memory": memory(0.3),
        "host": memory(0.3),
        "processors_busy": 0.5,
        "paused": False,
        "regret": Regret(30.0),
        "emergency_until_s": None,
        "settles_until_s": None,
        "demands": (),
        **more,
    }
    return Ground(**values)


def why(demand: ModelDemand, known: ModelMemory | None = None, **more: Any) -> Reason | None:
    found = obstacle(demand, known or ModelMemory(), ground(**more), RULES)
    return None if found is None else found[0]


def with_available(count_bytes: int) -> DeviceMemory:
    return replace(memory(0.0), available_bytes=count_bytes)


def test_nothing_stands_in_the_way_of_a_lane_that_fits() -> None:
    assert why(busy("a")) is None


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"memory": memory(0.86)}, Reason.ABOVE_MARK),
        ({"host": memory(0.86)}, Reason.ABOVE_MARK),
        ({"paused": True}, Reason.PAUSED),
        ({"memory": None}, Reason.MEMORY_UNKNOWN),
        ({"memory": memory(0.82)}, Reason.NEAR_MARK),
        ({"processors_busy": 0.95}, Reason.PROCESSORS_FULL),
        ({"emergency_until_s": 101.0}, Reason.AFTER_EMERGENCY),
        ({"emergency_until_s": 100.0}, None),
        ({"settles_until_s": 101.0}, Reason.COOLING_DOWN),
        ({"settles_until_s": 100.0}, None),
        ({"demands": (busy("b", exclusive=True),)}, Reason.BUILDING),
        ({"demands": (busy("b", starting=1),)}, Reason.STARTING),
    ],
)
def test_each_obstacle_has_its_word(more: dict[str, Any], reason: Reason | None) -> None:
    assert why(busy("a"), **more) is reason


def test_what_is_left_after_the_reserve_must_be_a_fifth_more_than_the_cost() -> None:
    big = 100 * TOTAL  # so that the mark is far
    lane = busy("a", lane_cost_bytes=1000 * MIB)
    enough = RULES.reserve_bytes + 1200 * MIB
    short = replace(with_available(enough - 1), total_bytes=TOTAL)
    assert why(lane, memory=short) is Reason.NO_MEMORY
    # Of a total that small the mark forbids it; with the mark out of the way it fits to the byte.
    free = Rules(high_mark=1.0, headroom=0.0)
    exact = replace(with_available(enough), total_bytes=big)
    assert obstacle(lane, ModelMemory(), ground(memory=exact, host=exact), free) is None
    one_less = replace(with_available(enough - 1), total_bytes=big)
    found = obstacle(lane, ModelMemory(), ground(memory=one_less, host=one_less), free)
    assert found is not None
    assert found[0] is Reason.NO_MEMORY


def test_a_cost_that_was_not_measured_is_bounded_or_forbids_the_lane() -> None:
    unknown = busy("a", lane_cost_bytes=None)
    assert why(unknown) is Reason.COST_UNKNOWN
    assert why(replace(unknown, lane_cost_bytes=0)) is Reason.COST_UNKNOWN
    assert why(replace(unknown, cost_bound_bytes=100 * MIB)) is None
    assert why(replace(unknown, cost_bound_bytes=3000 * MIB)) is Reason.NO_MEMORY


def test_full_processors_do_not_hinder_a_lane_on_a_gpu() -> None:
    assert why(busy("a", on_processors=False), processors_busy=1.0) is None
    assert why(busy("a"), processors_busy=None) is None


def test_the_most_lanes_are_kept() -> None:
    assert why(busy("a", ready=4)) is Reason.AT_MAX
    assert why(busy("a", ready=3, starting=1)) is Reason.AT_MAX


def test_a_model_is_left_alone_for_the_cool_down() -> None:
    assert why(busy("a"), ModelMemory(changed_s=70.1)) is Reason.COOLING_DOWN
    assert why(busy("a"), ModelMemory(changed_s=70.0)) is None


def test_what_another_replica_would_help_against_is_told_before_what_passes_by_itself() -> None:
    passing: dict[str, Any] = {"settles_until_s": 200.0, "demands": (busy("b", exclusive=True, starting=1),)}
    lasting: tuple[dict[str, Any], ...] = (
        {"memory": memory(0.86)},
        {"processors_busy": 1.0},
        {"emergency_until_s": 200.0},
    )
    for more in lasting:
        assert {why(busy("a"), **passing, **more)} <= LASTING
    assert {why(busy("a"), **passing)} == {Reason.BUILDING}
