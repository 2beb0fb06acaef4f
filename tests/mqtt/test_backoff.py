"""Pauses before the next connect: bounded, spread, growing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.mqtt.backoff import Backoff

JITTER = st.floats(0, 1, exclude_max=True)
LIMITS = st.tuples(st.floats(0.01, 60), st.floats(0.1, 3600))


@given(LIMITS, st.lists(JITTER, min_size=1, max_size=200))
def test_a_pause_lies_between_the_limits_whatever_happens(
    limits: tuple[float, float], jitters: list[float]
) -> None:
    min_s, max_s = limits
    backoff = Backoff(min_s, max_s)
    for index, jitter in enumerate(jitters):
        pause_s = backoff.refused(jitter) if index % 7 == 6 else backoff.failed(float(index), jitter)
        assert min(min_s, max_s) * 0.75 <= pause_s <= max_s


def test_the_longest_pause_doubles_up_to_the_limit() -> None:
    backoff = Backoff(1.0, 10.0)
    worst = 1 - 2**-53
    assert [round(backoff.failed(0.0, worst), 6) for _ in range(6)] == [2.0, 4.0, 8.0, 10.0, 10.0, 10.0]


def test_even_the_first_pause_is_spread() -> None:
    assert Backoff(1.0, 30.0).failed(0.0, 0.0) == 1.0
    assert Backoff(1.0, 30.0).failed(0.0, 0.5) == 1.5


def test_a_connection_that_held_starts_anew_and_one_that_broke_at_once_does_not() -> None:
    backoff = Backoff(1.0, 10.0)
    for _ in range(5):
        backoff.failed(0.0, 0.5)
    backoff.connected(100.0)
    assert backoff.failed(109.9, 0.5) == 5.5
    backoff.connected(200.0)
    assert backoff.failed(210.0, 0.5) == 1.5


def test_a_refusal_waits_for_about_the_longest_pause() -> None:
    backoff = Backoff(0.5, 30.0)
    assert backoff.refused(0.0) == 22.5
    assert backoff.refused(0.999) > 29.0
