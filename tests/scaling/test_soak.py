"""Hours on boards that are only reckoned: no OOM, no flapping; and broken policies are noticed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from gateway.scaling.decisions import Decision
from gateway.scaling.demand import ModelDemand
from gateway.scaling.policy import Policy
from gateway.scaling.rules import Rules
from gateway.scaling.sample import Sample
from tests.scaling.soak import Report, soak
from tests.scaling.traces import BOARDS, Board, trace

RULES = Rules()
NANO, ORIN, AGX = BOARDS

# What each of the broken policies lacks.
WITHOUT_RESERVE = Rules(reserve_bytes=0, margin=0.0, headroom=0.0, high_mark=1.0)
WITHOUT_COOLDOWN = Rules(cooldown_s=0.0, samples=1, spare_mark=0.9, idle_s=5.0)


def run(board: Board, models: int, seed: int, policy: Policy, hours: float = 1.5) -> Report:
    return soak(trace(board, models, seed, hours), policy, RULES, seed)


class CountsSwap(Policy):
    """Takes compressed swap, which lies in the same memory, for more of it."""

    def decide(self, sample: Sample, demands: Sequence[ModelDemand]) -> tuple[Decision, ...]:
        more = {
            name: replace(known, available_bytes=known.available_bytes + known.total_bytes // 2)
            for name, known in sample.memory.items()
        }
        return super().decide(replace(sample, memory=more), demands)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
@pytest.mark.parametrize(("models", "seed"), [(1, 0), (3, 1), (8, 2)])
def test_nothing_is_killed_nothing_flaps_and_more_is_served_than_by_one_lane_each(
    board: Board, models: int, seed: int
) -> None:
    report = run(board, models, seed, Policy(RULES))
    assert report.killed == []
    assert report.flaps == []
    assert report.passed, report.taken_back
    single = run(board, models, seed, Policy(replace(RULES, busy_mark=9.0, late_busy_mark=9.0)))
    assert single.changes == []
    assert report.served >= single.served


@pytest.mark.slow
@pytest.mark.parametrize(
    # The larger a lane is beside what is left below the mark, the more must stay unused.
    ("board", "least"),
    [(NANO, 0.4), (ORIN, 0.65), (AGX, 0.7)],
    ids=lambda value: getattr(value, "name", ""),
)
def test_on_a_tight_board_wanted_lanes_have_most_of_what_they_may_have(board: Board, least: float) -> None:
    reports = [run(board, 8, seed, Policy(RULES), 2.0) for seed in range(4)]
    wished = sum(report.wished for report in reports)
    assert wished > 500
    assert sum(report.budget_used * report.wished for report in reports) / wished >= least


def test_the_soak_notices_a_policy_that_leaves_no_reserve() -> None:
    reports = [run(ORIN, 8, seed, Policy(WITHOUT_RESERVE)) for seed in range(2)]
    assert any(report.killed for report in reports)


def test_the_soak_notices_a_policy_that_counts_swap_as_memory() -> None:
    reports = [run(ORIN, 8, seed, CountsSwap(RULES)) for seed in range(2)]
    assert any(report.killed for report in reports)


def test_the_soak_notices_a_policy_that_does_not_wait() -> None:
    report = run(AGX, 4, 0, Policy(WITHOUT_COOLDOWN))
    assert len(report.flaps) > 10
    assert not report.passed


def test_a_lane_that_is_killed_is_an_emergency_for_the_policy() -> None:
    report = next(
        report for seed in range(4) if (report := run(ORIN, 8, seed, Policy(WITHOUT_RESERVE))).killed
    )
    killed_s, _ = report.killed[0]
    assert any(at_s == killed_s and each.reason.value == "emergency" for at_s, each in report.decisions)
