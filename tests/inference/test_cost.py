"""The learned line of batch costs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inference.cost import BatchCost


@given(
    fixed_s=st.floats(0, 0.1), per_row_s=st.floats(1e-4, 0.1), sizes=st.lists(st.integers(1, 16), min_size=30)
)
def test_it_finds_the_line_that_batches_follow(fixed_s: float, per_row_s: float, sizes: list[int]) -> None:
    cost = BatchCost()
    for rows in [1, 16, *sizes, 1, 16]:
        cost.observe(rows, fixed_s + per_row_s * rows)

    assert cost.expect_s(8) == pytest.approx(fixed_s + per_row_s * 8, rel=1e-3, abs=1e-6)


@given(st.lists(st.tuples(st.integers(1, 64), st.floats(0, 100)), max_size=50))
def test_it_never_expects_less_than_nothing_nor_promises_that_larger_is_cheaper(
    seen: list[tuple[int, float]],
) -> None:
    cost = BatchCost()
    for rows, took_s in seen:
        cost.observe(rows, took_s)

    fixed_s, per_row_s = cost.line()

    assert fixed_s >= 0
    assert per_row_s >= 0
    assert cost.expect_s(2) >= cost.expect_s(1)


def test_one_size_only_means_a_line_through_the_origin() -> None:
    cost = BatchCost()
    for _ in range(10):
        cost.observe(4, 0.02)

    fixed_s, per_row_s = cost.line()
    assert fixed_s == 0.0
    assert per_row_s == pytest.approx(0.005)


def test_it_follows_a_change_of_speed_within_a_hundred_batches() -> None:
    cost = BatchCost()
    for _ in range(1000):
        cost.observe(1, 0.010)
    for _ in range(100):
        cost.observe(1, 0.020)

    assert cost.expect_s(1) == pytest.approx(0.020, rel=0.06)
