"""When more replicas are wanted, and when one fewer would do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.scaling.decisions import LASTING, Action, Decision, Reason
from gateway.scaling.demand import ModelDemand
from gateway.scaling.rules import Rules
from gateway.scaling.scale_out import ScaleOut
from tests.scaling.driving import Driver, busy, idle


class Watched(Driver):
    """A driver whose decisions are told to a scale-out."""

    def __init__(self, *models: ModelDemand) -> None:
        super().__init__(*models)
        self.out = ScaleOut(self.rules)

    def see(self, used: float, count: int, after_s: float = 5.0) -> bool:
        for _ in range(count):
            demands = tuple(self.models.values())
            decisions = self.step(used, after_s=after_s)
            self.out.note(self.at_s, demands, decisions)
        return self.out.wanted


def held(reason: Reason, *, wanted: bool = True) -> Decision:
    return Decision(Action.HOLD, reason, "1", "host", "a", 1, wanted=wanted)


def test_more_are_wanted_after_three_samples_at_the_most_lanes_and_not_after_two() -> None:
    seen = Watched(busy("a", max_lanes=1))
    assert not seen.see(0.3, 2)
    assert seen.see(0.3, 1)
    assert "at most" in seen.out.reason


def test_more_are_wanted_where_memory_forbids_lanes() -> None:
    assert Watched(busy("a", lane_cost_bytes=1 << 40)).see(0.3, 3)
    assert Watched(busy("a")).see(0.9, 3)


def test_none_are_wanted_while_lanes_can_be_added_here() -> None:
    assert not Watched(busy("a", max_lanes=4)).see(0.3, 10)


def test_the_wish_ends_after_three_samples_without_it_and_not_after_two() -> None:
    seen = Watched(busy("a", max_lanes=1))
    seen.see(0.3, 3)
    seen.models["a"] = replace(seen.models["a"], busy=0.1)
    assert seen.see(0.3, 2)
    assert not seen.see(0.3, 1)
    assert seen.out.reason == ""


def test_a_gap_begins_anew_and_a_sample_counts_once() -> None:
    seen = Watched(busy("a", max_lanes=1))
    seen.see(0.3, 2)
    assert not seen.see(0.3, 1, after_s=20.0)
    assert not seen.see(0.3, 1)
    for _ in range(5):
        seen.out.note(seen.at_s, tuple(seen.models.values()), seen.last)
        assert seen.out.reason == ""
    assert seen.see(0.3, 1)


@pytest.mark.parametrize("reason", Reason)
def test_only_what_another_replica_would_help_against_is_a_wish(reason: Reason) -> None:
    out = ScaleOut(Rules())
    for number in range(3):
        out.note(5.0 * number, (), (held(reason),))
    assert out.wanted is (reason in LASTING)
    out = ScaleOut(Rules())
    for number in range(3):
        out.note(5.0 * number, (), (held(reason, wanted=False),))
    assert not out.wanted


def test_paused_streams_are_a_wish() -> None:
    out = ScaleOut(Rules(samples=1))
    out.note(0.0, (), (Decision(Action.PAUSE, Reason.ABOVE_MARK, "1", "host", priority=0),))
    assert out.wanted


def test_one_fewer_would_do_where_the_configured_lanes_could_do_twice_the_work_for_long_enough() -> None:
    seen = Watched(idle("a", ready=2, configured=1, busy=0.14, max_lanes=2))
    spare = []
    for count in (24, 1):
        seen.see(0.3, count)
        spare.append(seen.out.spare)
    seen.models["a"] = replace(seen.models["a"], busy=0.31)
    seen.see(0.3, 1)
    spare.append(seen.out.spare)
    assert spare == [False, True, False]
