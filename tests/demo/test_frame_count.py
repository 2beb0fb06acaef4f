"""Counting a camera's frames and the pauses between answers."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.frame_count import NOTHING, FrameCount, Gaps, frame_count
from gateway.demo.status import read_status
from tests.demo.status_page import body, page

FEW = st.integers(0, 1000)
COUNTS = st.builds(FrameCount, FEW, FEW, FEW, FEW, FEW)


def test_results_and_drops_are_read_from_the_status() -> None:
    told = page()
    told["sensors"][0]["streams"][0] |= {"frames": 63, "drops": {"superseded": 2, "run": 1}}
    count = frame_count(read_status(json.dumps(told).encode()), "demo-camera", 64)
    assert count == FrameCount(sent=64, frames=63, results=58, superseded=2, failed=1)
    assert (count.lost, count.is_balanced) == (3, False)


def test_a_count_is_balanced_when_all_that_was_sent_came_and_is_accounted_for() -> None:
    assert frame_count(read_status(body()), "demo-camera", 60).is_balanced
    assert not frame_count(read_status(body()), "demo-camera", 61).is_balanced
    assert not FrameCount(sent=3, frames=2, results=3).is_balanced


def test_nothing_is_known_of_a_sensor_that_never_appeared() -> None:
    assert frame_count(read_status(body()), "nobody", 0) == NOTHING


@given(COUNTS, COUNTS, COUNTS)
def test_what_is_lost_in_two_stretches_is_lost_in_both_together(
    first: FrameCount, second: FrameCount, third: FrameCount
) -> None:
    assert third.since(second).lost + second.since(first).lost == third.since(first).lost


def test_the_longest_pause_is_found_and_the_time_between_two_beginnings_does_not_count() -> None:
    gaps = Gaps()
    for at_s in (1.0, 1.1, 1.6, 1.7):
        gaps.answered(at_s)
    assert round(gaps.longest_s, 6) == 0.5
    gaps.begin()
    for at_s in (9.0, 9.2):
        gaps.answered(at_s)
    assert round(gaps.longest_s, 6) == 0.2
