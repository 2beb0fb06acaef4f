"""The sketch tells median and tail of the recent past, and only of that."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.operations.quantiles import HIGHEST_S, LOWEST_S, Quantiles

DURATIONS = st.floats(LOWEST_S, HIGHEST_S)


@given(durations=st.lists(DURATIONS, min_size=1, max_size=200), fraction=st.floats(0.0, 1.0))
def test_a_quantile_is_within_five_percent_of_the_exact_one(durations: list[float], fraction: float) -> None:
    quantiles = Quantiles()
    for duration_s in durations:
        quantiles.observe(duration_s, 100.0)
    exact = sorted(durations)[max(1, math.ceil(fraction * len(durations))) - 1]
    read = quantiles.read(100.0, fraction)
    assert read is not None
    assert read[0] == pytest.approx(exact, rel=0.05)


@given(
    times=st.lists(st.floats(0.0, 300.0), max_size=60).map(sorted),
    after_s=st.floats(0.0, 200.0),
    slices=st.integers(1, 8),
)
def test_only_the_window_counts(times: list[float], after_s: float, slices: int) -> None:
    window_s = 60.0
    quantiles = Quantiles(window_s, slices)
    for at_s in times:
        quantiles.observe(1.0, at_s)
    now_s = (times[-1] if times else 0.0) + after_s
    answer = quantiles.read(now_s, 0.5)
    if any(at_s > now_s - window_s * (slices - 1) / slices for at_s in times):
        assert answer is not None
    if all(at_s <= now_s - window_s for at_s in times):
        assert answer is None


@given(duration_s=st.floats(0.0, 1e9))
def test_what_is_out_of_range_counts_as_its_nearest_end(duration_s: float) -> None:
    quantiles = Quantiles()
    quantiles.observe(duration_s, 0.0)
    read = quantiles.read(0.0, 0.5)
    assert read is not None
    assert read[0] == pytest.approx(min(HIGHEST_S, max(LOWEST_S, duration_s)), rel=0.05)


def test_several_quantiles_come_from_one_reading() -> None:
    quantiles = Quantiles()
    for number in range(100):
        quantiles.observe(1.0 if number < 90 else 10.0, 5.0)
    assert quantiles.read(5.0, 0.5, 0.99) == pytest.approx((1.0, 10.0), rel=0.05)


def test_nothing_observed_is_no_number() -> None:
    assert Quantiles().read(10.0, 0.5) is None
