"""Patience with slow clients: enough for honest ones, and none for those that trickle."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.serving.http.pace import Pace


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 5000)), max_size=50))
def test_the_whole_takes_no_longer_than_its_bytes_allow(moves: list[tuple[float, int]]) -> None:
    pace, now_s, moved = Pace(10.0, 1000.0, 0.0), 0.0, 0
    for wait_s, count in moves:
        now_s += wait_s
        moved += count
        deadline_s = pace.moved(count, now_s)
        assert deadline_s <= 10.0 + moved / 1000.0 + 1e-6
        assert deadline_s <= now_s + 10.0


@given(st.lists(st.floats(0.1, 9.9), max_size=50))
def test_who_keeps_the_rate_is_always_waited_for(waits: list[float]) -> None:
    pace, now_s = Pace(10.0, 1000.0, 0.0), 0.0
    for wait_s in waits:
        now_s += wait_s
        assert pace.deadline_s >= now_s
        pace.moved(round(wait_s * 1000.0) + 1, now_s)
