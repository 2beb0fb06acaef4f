"""Budgets: head-room above what was measured, never below."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.updates.packing.budget import LOAD_FACTOR, MEMORY_FACTOR, P99_FACTOR, budgets


@given(st.floats(0, 1000), st.floats(0, 10_000), st.integers(0, 1 << 34))
def test_a_board_may_take_the_factor_and_a_little_more(
    load_s: float, p99_ms: float, memory_bytes: int
) -> None:
    held = budgets(load_s, p99_ms, memory_bytes)
    assert load_s * LOAD_FACTOR + 2 <= held.load_s + 1e-6 <= load_s * LOAD_FACTOR + 2.2
    assert p99_ms * P99_FACTOR + 5 <= held.p99_ms + 1e-6 <= p99_ms * P99_FACTOR + 6.1
    assert held.memory_bytes >= memory_bytes * MEMORY_FACTOR
