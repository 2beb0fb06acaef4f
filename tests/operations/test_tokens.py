"""A bucket of tokens lets a burst through, then one at a time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.operations.tokens import Tokens


def test_a_burst_passes_and_then_one_in_each_period() -> None:
    bucket = Tokens(3, 10.0)
    assert [bucket.take(0.0) for _ in range(5)] == [True, True, True, False, False]
    assert bucket.next_s(0.0) == 10.0
    assert not bucket.take(9.9)
    assert bucket.take(10.1)
    assert not bucket.take(10.2)


@given(st.lists(st.floats(min_value=0, max_value=30), max_size=60), st.integers(1, 5))
def test_no_more_pass_than_the_burst_and_the_pace_allow(gaps: list[float], most: int) -> None:
    bucket, now_s, taken = Tokens(most, 10.0), 0.0, 0
    for gap in gaps:
        now_s += gap
        taken += bucket.take(now_s)
    assert taken <= most + now_s / 10.0 + 1e-6


@given(st.lists(st.floats(min_value=0, max_value=30), max_size=30))
def test_a_token_can_be_taken_at_the_time_that_was_named(gaps: list[float]) -> None:
    bucket, now_s = Tokens(2, 10.0), 0.0
    for gap in gaps:
        now_s += gap
        bucket.take(now_s)
    assert bucket.take(bucket.next_s(now_s) + 1e-6)
