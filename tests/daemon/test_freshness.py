"""Age of frames whose sensor's clock is not ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.daemon.freshness import Freshness


@given(offset_s=st.floats(-1e6, 1e6), delays_s=st.lists(st.floats(0, 30), min_size=1, max_size=50))
def test_a_frame_is_as_late_as_its_way_was_longer_than_the_fastest(
    offset_s: float, delays_s: list[float]
) -> None:
    freshness = Freshness()
    fastest_s = float("inf")
    for number, delay_s in enumerate(delays_s):
        captured_at = 1.7e9 + number
        fastest_s = min(fastest_s, delay_s)
        late_s = freshness.late_s(captured_at + offset_s, captured_at + delay_s, float(number))
        assert late_s == pytest.approx(delay_s - fastest_s, abs=1e-3)


def test_a_clock_that_is_set_back_an_hour_ages_no_frame() -> None:
    freshness = Freshness()
    freshness.late_s(1000.0, 1000.0, 0.0)
    assert freshness.late_s(1001.0 - 7200.0, 1001.0, 1.0) == 0.0


def test_a_drifting_clock_is_followed_after_two_windows() -> None:
    freshness = Freshness()
    late_s = 0.0
    for second in range(400):
        drift_s = second * 0.001
        late_s = freshness.late_s(1000.0 + second - drift_s, 1000.0 + second, float(second))
    assert late_s <= 0.13
