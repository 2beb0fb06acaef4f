"""A lane that had to go again is not added again too soon."""

from __future__ import annotations

import pytest

from gateway.scaling.regret import Regret

FIRST_S = 300.0


@pytest.fixture
def regret() -> Regret:
    return Regret(30.0)


def test_a_lane_that_went_for_want_of_memory_needs_more_memory_next_time(regret: Regret) -> None:
    regret.grew(0.0, 500.0, 100.0)
    assert regret.forbids(40.0, 10.0) is None
    regret.gave_back(50.0)
    assert regret.forbids(60.0, 599.0) == (600.0, 290.0)
    assert regret.forbids(60.0, 600.0) is None
    assert regret.forbids(50.0 + FIRST_S, 10.0) is None


def test_a_lane_that_stayed_for_long_is_not_regretted(regret: Regret) -> None:
    regret.grew(0.0, 500.0, 100.0)
    regret.gave_back(FIRST_S + 1)
    assert regret.forbids(FIRST_S + 2, 0.0) is None


def test_each_time_it_lasts_twice_as_long_up_to_a_most(regret: Regret) -> None:
    at_s, spans = 0.0, []
    for _ in range(8):
        regret.grew(at_s, 500.0, 100.0)
        regret.gave_back(at_s + 10)
        forbidden = regret.forbids(at_s + 10, 0.0)
        assert forbidden is not None
        spans.append(forbidden[1])
        at_s += 10 + forbidden[1]
    assert spans == [300.0, 600.0, 1200.0, 2400.0, 4800.0, 4800.0, 4800.0, 4800.0]


def test_a_lane_that_stays_ends_the_doubling(regret: Regret) -> None:
    regret.grew(0.0, 500.0, 100.0)
    regret.gave_back(10.0)
    regret.grew(400.0, 500.0, 100.0)
    assert regret.forbids(400.0 + FIRST_S + 1, 0.0) is None
    regret.grew(1000.0, 500.0, 100.0)
    regret.gave_back(1010.0)
    assert regret.forbids(1010.0, 0.0) == (600.0, FIRST_S)


def test_memory_that_goes_twice_for_one_lane_counts_once(regret: Regret) -> None:
    regret.grew(0.0, 500.0, 100.0)
    regret.gave_back(10.0)
    regret.gave_back(20.0)
    assert regret.forbids(20.0, 0.0) == (600.0, 290.0)


def test_numbers_of_another_source_teach_nothing(regret: Regret) -> None:
    regret.grew(0.0, 500.0, 100.0)
    regret.gave_back(10.0)
    regret.forget()
    assert regret.forbids(20.0, 0.0) is None
