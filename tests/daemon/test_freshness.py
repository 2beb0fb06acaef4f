"""Age of frames whose sensor's clock is not ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.daemon.freshness import Freshness

# Ways that differ enough from frame to frame: a constant delay is an offset.
WAYS_S = st.lists(st.floats(0, 30), min_size=1, max_size=7)


@given(offset_s=st.floats(-1e6, 1e6), ways_s=WAYS_S)
def test_a_frame_is_as_late_as_its_way_was_longer_than_the_fastest(
    offset_s: float, ways_s: list[float]
) -> None:
    freshness = Freshness()
    fastest_s = float("inf")
    for number, way_s in enumerate(ways_s):
        fastest_s = min(fastest_s, way_s)
        late_s = freshness.late_s(1.7e9 + number + offset_s, 100.0 + number + way_s)
        assert late_s == pytest.approx(way_s - fastest_s, abs=1e-3)


@pytest.mark.parametrize("step_s", [3.0, -3.0, 7200.0, -7200.0, 1e9])
def test_a_sensor_whose_clock_is_set_is_late_for_a_few_frames_at_most(step_s: float) -> None:
    freshness = Freshness()
    for number in range(20):
        freshness.late_s(1000.0 + number, 50.0 + number)
    late = [freshness.late_s(1020.0 + number + step_s, 70.0 + number) for number in range(20)]
    assert late[9:] == [0.0] * 11


def test_a_queue_that_grows_is_no_new_offset() -> None:
    freshness = Freshness()
    late = [freshness.late_s(1000.0 + n, 50.0 + n + 0.5 * n) for n in range(20)]
    assert late == pytest.approx([0.5 * n for n in range(20)])


def test_a_drifting_clock_is_followed_after_two_windows() -> None:
    freshness = Freshness()
    late_s = 0.0
    for second in range(400):
        late_s = freshness.late_s(1000.0 + second - second * 0.001, 50.0 + second)
    assert late_s <= 0.13
