"""The least rate: steady sources pass, drips do not, and our own slowness blames nobody."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.updates.transport.pace import Pace


def test_a_source_that_is_fast_enough_never_is_too_slow() -> None:
    pace = Pace(1000, 10)
    for _ in range(1000):
        pace.took(101, 0.1)
        assert not pace.too_slow


def test_a_drip_is_too_slow_after_one_window_of_waiting() -> None:
    pace = Pace(1000, 10)
    for _ in range(4):
        pace.took(1, 2)
        assert not pace.too_slow
    pace.took(1, 2)
    assert pace.too_slow


def test_a_fast_start_buys_no_slow_end() -> None:
    pace = Pace(1000, 10)
    pace.took(1 << 30, 1)
    for _ in range(6):
        pace.took(1, 2)
    assert pace.too_slow


def test_bytes_that_needed_no_waiting_are_never_too_slow() -> None:
    pace = Pace(1000, 10)
    for _ in range(1000):
        pace.took(1, 0)
    assert not pace.too_slow


def test_a_new_request_begins_with_a_clean_slate() -> None:
    pace = Pace(1000, 10)
    pace.took(0, 11)
    assert pace.too_slow
    pace.begin()
    assert not pace.too_slow


@given(st.lists(st.tuples(st.integers(0, 10_000), st.floats(0, 3)), max_size=200))
def test_silence_of_two_windows_is_noticed_whatever_came_before(steps: list[tuple[int, float]]) -> None:
    pace = Pace(100, 10)
    for count, waited_s in steps:
        pace.took(count, waited_s)
    for _ in range(21):
        pace.took(0, 1)
    assert pace.too_slow
