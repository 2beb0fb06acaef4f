"""The watchdog's rules, as properties."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.operations.watchdog import LaneSign, Watchdog, beat_s

LIMITS = st.floats(0.1, 100)
AGES = st.floats(0, 1000)


def settled(limit_s: float, models: dict[str, list[LaneSign]], now_s: float) -> tuple[str, ...] | None:
    """Return what a watchdog that has known all lanes for long says now."""
    watchdog = Watchdog(limit_s)
    watchdog.turn(now_s - 10_000, models)
    watchdog.turn(now_s - limit_s / 2, models)
    return watchdog.turn(now_s, models)


@given(LIMITS, st.dictionaries(st.sampled_from("abc"), st.lists(AGES, max_size=3), max_size=3))
def test_it_is_fed_exactly_while_each_model_has_a_lane_that_answered(
    limit_s: float, ages: dict[str, list[float]]
) -> None:
    now_s = 100_000.0
    models = {name: [LaneSign(i, now_s - age) for i, age in enumerate(each)] for name, each in ages.items()}
    dead = sorted(
        n for n, lanes in models.items() if lanes and all(now_s > x.answered_s + limit_s for x in lanes)
    )
    assert settled(limit_s, models, now_s) == (tuple(dead) or None)


@given(LIMITS, st.floats(0.1, 1000))
def test_a_batch_counts_as_an_answer_until_it_runs_too_long(limit_s: float, left_s: float) -> None:
    now_s = 100_000.0
    assert settled(limit_s, {"a": [LaneSign(1, 1.0, now_s + left_s)]}, now_s) is None
    assert settled(limit_s, {"a": [LaneSign(1, 1.0, now_s - left_s)]}, now_s) == ("a",)


@given(LIMITS)
def test_a_lane_that_has_just_become_ready_is_as_good_as_one_that_answered(limit_s: float) -> None:
    watchdog, fresh = Watchdog(limit_s), {"a": [LaneSign(1, 0.0)]}
    assert watchdog.turn(1000.0, {"a": []}) is None
    assert watchdog.turn(1000.0 + limit_s / 2, fresh) is None
    assert watchdog.turn(1000.0 + limit_s, fresh) is None
    assert watchdog.turn(1000.0 + limit_s * 1.75, fresh) == ("a",)


@given(LIMITS, st.floats(1.01, 100))
def test_a_late_turn_feeds_nothing_and_the_next_one_does(limit_s: float, factor: float) -> None:
    watchdog = Watchdog(limit_s)
    assert watchdog.turn(1000.0, {}) is None
    late_s = 1000.0 + limit_s * factor
    assert watchdog.turn(late_s, {}) == ()
    assert watchdog.turn(late_s + limit_s / 3, {}) is None


@given(LIMITS, st.floats(1, 3600))
def test_a_beat_leaves_two_chances_and_is_no_rarer_than_canaries(limit_s: float, interval_s: float) -> None:
    assert 2 * beat_s(limit_s, interval_s) < limit_s
    assert beat_s(limit_s, interval_s) <= interval_s == beat_s(None, interval_s)


@given(st.integers(1, 50))
def test_what_is_known_of_lanes_that_are_gone_is_forgotten(turns: int) -> None:
    watchdog = Watchdog(1.0)
    for turn in range(turns):
        watchdog.turn(float(turn), {"a": [LaneSign(turn, 0.0)]})
    assert len(watchdog._seen_s) == 1
