"""Cadence learned from gaps."""

from __future__ import annotations

import statistics

from hypothesis import given
from hypothesis import strategies as st

from gateway.sensors.cadence import Cadence


def test_nothing_is_known_before_three_gaps() -> None:
    cadence = Cadence()
    for now_s in (0.0, 1.0, 2.0):
        cadence.arrived(now_s)
    assert cadence.median_s == 0.0
    cadence.arrived(3.0)
    assert cadence.median_s == 1.0


def test_one_outage_does_not_move_the_median() -> None:
    cadence = Cadence()
    for now_s in (0.0, 1.0, 2.0, 3.0, 100.0, 101.0, 102.0):
        cadence.arrived(now_s)
    assert cadence.median_s == 1.0


def test_a_gap_across_a_break_is_not_learned() -> None:
    cadence = Cadence()
    for now_s in (0.0, 1.0, 2.0):
        cadence.arrived(now_s)
    cadence.broken()
    cadence.arrived(1000.0)
    cadence.arrived(1001.0)
    assert cadence.median_s == 1.0


def test_a_new_pace_is_learned_once_the_old_gaps_are_replaced() -> None:
    cadence = Cadence()
    now_s = 0.0
    for gap_s in (1.0,) * 15 + (3.0,) * 15 + (5.0,) * 15:
        cadence.arrived(now_s)
        now_s += gap_s
    cadence.arrived(now_s)
    assert cadence.median_s == 5.0


def test_time_that_goes_backwards_is_no_gap() -> None:
    cadence = Cadence()
    cadence.arrived(10.0)
    cadence.arrived(5.0)
    assert cadence.last_s == 10.0


@given(st.lists(st.floats(0.0, 100.0), min_size=3, max_size=15))
def test_the_median_is_that_of_the_gaps(gaps_s: list[float]) -> None:
    cadence = Cadence()
    now_s = 0.0
    cadence.arrived(now_s)
    measured = []
    for gap_s in gaps_s:
        measured.append(now_s + gap_s - now_s)
        now_s += gap_s
        cadence.arrived(now_s)
    assert cadence.median_s == statistics.median_high(measured)
