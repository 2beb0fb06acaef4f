"""The time to go by: never before what is known to be past, and honest about doubt."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.updates.trust.clock import MOST_AHEAD_S, SLACK_S, Clock, ClockFloor, read_clock

TIMES = st.integers(0, 1 << 40)


@given(TIMES, TIMES, TIMES, TIMES)
def test_the_time_never_goes_below_what_is_known_to_be_past(
    system_s: int, used_s: int, issued_s: int, build_s: int
) -> None:
    reading = read_clock(system_s, ClockFloor(used_s, issued_s), build_s)
    assert reading.now_unix_s == max(system_s, used_s, issued_s, build_s)
    if reading.clock is Clock.OK:
        assert reading.now_unix_s - system_s <= SLACK_S
        assert system_s <= build_s + MOST_AHEAD_S


@given(TIMES, st.integers(0, int(MOST_AHEAD_S)))
def test_a_clock_that_can_be_right_is_taken_as_it_is(build_s: int, since_s: int) -> None:
    reading = read_clock(build_s + since_s, ClockFloor(), build_s)
    assert (reading.now_unix_s, reading.clock) == (build_s + since_s, Clock.OK)


def test_a_signature_of_an_author_whose_clock_is_a_little_ahead_raises_no_doubt() -> None:
    assert read_clock(1000.0, ClockFloor(issued_unix_s=1299), 0).clock is Clock.OK
    assert read_clock(1000.0, ClockFloor(issued_unix_s=1301), 0).clock is Clock.UNTRUSTED


def test_1970_and_2090_are_doubted() -> None:
    build_s = 1_767_225_600
    assert read_clock(0.0, ClockFloor(), build_s).clock is Clock.UNTRUSTED
    assert read_clock(3_786_912_000.0, ClockFloor(), build_s).clock is Clock.UNTRUSTED
