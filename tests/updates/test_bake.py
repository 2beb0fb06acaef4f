"""What sends a release back, and what does not."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.configuration.settings import BakeSettings
from gateway.updates.bake import (
    LEAST_REQUESTS,
    LEAST_SAMPLES,
    RECENT,
    BakeWindow,
    Gates,
    Judgement,
    Summary,
    Verdict,
    classes_of,
    gates,
    judge,
    significantly_more,
)

GATES: Final = Gates(seconds=600, requests=200, max_seconds=86_400)
STEADY: Final = tuple([4.0] * 480 + [6.0] * 20)
BEFORE: Final = Summary(times_ms={1: STEADY}, requests=500)


def judged(now: Summary, before: Summary | None = BEFORE, limits: Gates = GATES) -> Judgement:
    return judge(before, now, limits, 30.0, now.requests)


def served(times_ms: list[float], failed: int = 0, **more: Any) -> Summary:
    return together({1: times_ms} if times_ms else {}, failed, **more)


def together(times_ms: dict[int, list[float]], failed: int = 0, **more: Any) -> Summary:
    """Return what was seen by the rows that ran together."""
    known = {rows: tuple(sorted(times)) for rows, times in times_ms.items()}
    return Summary(known, failed, requests=sum(map(len, known.values())) + failed, **more)


def with_spikes(chance: random.Random) -> float:
    return 40.0 if chance.random() < 0.02 else 4.0


SHAPES: Final[list[Callable[[random.Random], float]]] = [
    lambda chance: chance.lognormvariate(1.0, 0.3),
    lambda chance: chance.lognormvariate(1.0, 0.8),
    lambda chance: 4.0 + chance.expovariate(2.0),
    with_spikes,
    lambda _: 0.2,
]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_release_that_does_as_the_one_before_is_not_sent_back_however_often_it_is_judged(
    shape: Callable[[random.Random], float],
) -> None:
    for seed in range(25):
        chance = random.Random(seed)
        old, new = BakeWindow(), BakeWindow()
        for window, count in ((old, 600), (new, 0)):
            for _ in range(count):
                window.failed() if chance.random() < 0.008 else window.answered(shape(chance), None)
        before = old.summary()
        for number in range(3000):
            new.failed() if chance.random() < 0.008 else new.answered(shape(chance), None)
            if number % 100 == 60:
                verdict = judge(before, new.summary(), GATES, 30.0, number)
                assert verdict.verdict is Verdict.WATCH, (seed, number, verdict)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_release_twice_as_slow_is_sent_back_soon(shape: Callable[[random.Random], float]) -> None:
    chance = random.Random(7)
    before = served([shape(chance) for _ in range(600)])
    slow = [shape(chance) * 2.2 + 1 for _ in range(1500)]
    assert judged(served(slow), before).verdict is Verdict.FAILED
    if shape is SHAPES[2]:
        early = judged(served(slow[:LEAST_SAMPLES]), before)
        assert early.verdict is Verdict.FAILED
        assert "ms at p50; before" in early.reason
        assert judged(served(slow[: LEAST_SAMPLES - 1]), before).verdict is Verdict.WATCH


def test_a_longer_tail_alone_is_enough() -> None:
    tail = judged(served([4.0] * 900 + [9.0] * 100))
    assert tail.verdict is Verdict.FAILED
    assert tail.reason == "a run takes 9.00 ms at p99; before, 6.00 ms, and 7.50 ms are allowed"
    assert judged(served([4.0] * 900 + [7.4] * 100)).verdict is Verdict.WATCH
    assert judged(served([4.0] * 998 + [900.0] * 2)).verdict is Verdict.WATCH


def test_a_lucky_window_before_does_not_bind_the_next_release() -> None:
    """Two runs in a hundred have always been slow; of two hundred, two were."""
    before = served([4.0] * 198 + [40.0] * 2)
    assert judged(served([4.0] * 4014 + [40.0] * 82), before).verdict is Verdict.WATCH


def test_that_requests_run_together_is_no_slowness() -> None:
    """A burst, or a release whose rows may be stacked: a run of eight rows takes as long as eight of one."""
    assert judged(together({8: [33.0] * 500})).verdict is Verdict.WATCH
    assert judged(together({1: [4.1] * 500, 8: [32.5] * 500})).verdict is Verdict.WATCH
    assert judged(together({1: [4.1] * 500}), together({8: [5.0] * 500})).verdict is Verdict.WATCH
    assert (
        judged(together({3: [12.0] * 500}), together({2: [8.1] * 50, 8: [32.0] * 50})).verdict
        is Verdict.WATCH
    )


def test_a_run_is_held_against_runs_of_as_many_rows() -> None:
    before = together({1: [4.0] * 500, 8: [6.0] * 500})
    slow = judged(together({1: [4.0] * 500, 8: [16.0] * 500}), before)
    assert slow.reason == "a run of 8 rows takes 16.00 ms at p50; before, 6.00 ms, and 12.00 ms are allowed"
    assert (
        judged(together({1: [4.0] * 500, 8: [16.0] * (LEAST_SAMPLES - 1)}), before).verdict is Verdict.WATCH
    )


def test_a_run_of_rows_as_there_were_none_may_take_what_others_tell() -> None:
    assert judged(together({8: [70.0] * 500})).verdict is Verdict.FAILED  # one took 4 ms
    assert judged(together({1: [40.0] * 500}), together({8: [5.0] * 500})).verdict is Verdict.FAILED
    few = together({8: [5.0] * (LEAST_SAMPLES - 1)})
    assert judged(together({1: [40.0] * 500}), few).verdict is Verdict.WATCH


def test_a_budget_is_one_of_a_row() -> None:
    limits = replace(GATES, p99_budget_ms=5.0)
    assert judged(together({8: [33.0] * LEAST_SAMPLES}), None, limits).verdict is Verdict.WATCH
    over = judged(together({8: [44.0] * LEAST_SAMPLES}), None, limits)
    assert over.reason == "a run takes 5.50 ms a row at p99; its budget is 5.00 ms"


def test_noise_of_a_fast_model_is_no_slowness() -> None:
    before = served([0.1] * 500)
    assert judged(served([0.55] * 500), before).verdict is Verdict.WATCH
    assert judged(served([0.65] * 500), before).verdict is Verdict.FAILED


def test_a_budget_that_the_release_declares_binds_even_without_a_release_before() -> None:
    limits = replace(GATES, p99_budget_ms=5.0)
    assert judged(served([5.5] * LEAST_SAMPLES), None, limits).verdict is Verdict.FAILED
    assert judged(served([4.5] * 500), None, limits).verdict is Verdict.WATCH
    assert judged(served([5.5] * 500), None, GATES).verdict is Verdict.WATCH


@given(st.integers(0, 5000), st.floats(0, 1))
def test_one_alone_never_shows_anything_and_more_shows_more(of: int, share: float) -> None:
    assert not significantly_more(1, of, share)
    found = [significantly_more(count, of, share) for count in range(0, of + 1, max(1, of // 50))]
    assert found == sorted(found)
    assert not significantly_more(int(of * share), of, share)


@pytest.mark.parametrize(
    ("failed", "answered", "before_failed", "verdict"),
    [
        (1, LEAST_REQUESTS - 1, 0, Verdict.WATCH),
        (4, 1, 0, Verdict.WATCH),  # too few to say
        (LEAST_REQUESTS, 0, 0, Verdict.FAILED),
        (20, 180, 0, Verdict.FAILED),
        (3, 197, 0, Verdict.WATCH),
        (20, 180, 50, Verdict.WATCH),  # the release before failed as often
        (70, 130, 50, Verdict.FAILED),
    ],
)
def test_failures_count_against_what_is_always_allowed_and_what_was_before(
    failed: int, answered: int, before_failed: int, verdict: Verdict
) -> None:
    before = served([4.0] * (500 - before_failed), before_failed)
    found = judged(served([4.0] * answered, failed), before)
    assert found.verdict is verdict
    assert (f"{failed} of {failed + answered} requests failed" in found.reason) == (verdict is Verdict.FAILED)


def test_a_second_dead_worker_sends_back_unless_workers_died_before_too() -> None:
    assert judged(served([4.0] * 100, crashes=1)).verdict is Verdict.WATCH
    assert judged(served([4.0] * 100, crashes=2)).verdict is Verdict.FAILED
    frail = served([4.0] * 500, crashes=10)
    assert judged(served([4.0] * 100, crashes=2), frail).verdict is Verdict.WATCH
    assert judged(served([4.0] * 100, crashes=5), frail).verdict is Verdict.FAILED


def test_a_number_that_is_not_finite_sends_back_unless_they_were_there_before() -> None:
    assert judged(served([4.0] * 10, 1, not_finite=1)).verdict is Verdict.FAILED
    assert judged(served([4.0] * 10, 1, not_finite=1), None).verdict is Verdict.FAILED
    before = served([4.0] * 400, 100, not_finite=100)
    assert judged(served([4.0] * 80, 20, not_finite=20), before).verdict is Verdict.WATCH
    assert judged(served([4.0] * 10, 90, not_finite=90), before).verdict is Verdict.FAILED


@given(
    st.floats(0, 200_000),
    st.integers(0, 400),
    st.floats(0, 1000),
    st.integers(0, 400),
    st.floats(0, 100_000),
)
def test_nothing_passes_before_its_time_and_its_requests_or_the_longest_time(
    baked_s: float, requests: int, seconds: float, needed: int, max_seconds: float
) -> None:
    limits = Gates(seconds, needed, max(seconds, max_seconds))
    found = judge(BEFORE, served([4.0] * requests), limits, baked_s, requests)
    enough = (baked_s >= seconds and requests >= needed) or baked_s >= limits.max_seconds
    assert found.verdict is (Verdict.PASSED if enough else Verdict.WATCH)


def test_the_gates_are_the_boards_but_for_the_length_that_is_assigned() -> None:
    board = BakeSettings(seconds=60, requests=5, max_seconds=100, p99_factor=1.5)
    assert gates(board, None, 8.0) == Gates(60, 5, 100, 0.01, 2.0, 1.5, 8.0)
    assert (gates(board, 500.0, 0.0).seconds, gates(board, 500.0, 0.0).max_seconds) == (500.0, 500.0)


def test_other_answers_raise_an_alarm_and_send_nobody_back() -> None:
    before = served([4.0] * 500, classes={"cat": 400, "dog": 100})
    same = judged(served([4.0] * 500, classes={"cat": 390, "dog": 110}), before)
    assert (same.verdict, same.alarm) == (Verdict.WATCH, "")
    other = judged(served([4.0] * 500, classes={"cat": 100, "dog": 400}), before)
    assert other.verdict is Verdict.WATCH
    assert "cat is 20% of them, was 80%" in other.alarm or "dog is 80% of them, was 20%" in other.alarm
    new = judged(served([4.0] * 500, classes={"crab": 500}), before)
    assert new.alarm
    few = judged(served([4.0] * 40, classes={"crab": 40}), before)
    assert few.alarm == ""


def test_chance_alone_raises_no_alarm() -> None:
    chance = random.Random(3)
    names = [f"class {number}" for number in range(40)]

    def histogram(count: int) -> dict[str, int]:
        drawn = chance.choices(names, k=count)
        return {name: drawn.count(name) for name in set(drawn)}

    for _ in range(50):
        before, now = served([4.0] * 500, classes=histogram(500)), served([4.0] * 99, classes=histogram(99))
        assert judged(now, before).alarm == ""


@settings(max_examples=50)
@given(st.lists(st.one_of(st.floats(0, 1000), st.sampled_from(["failed", "nan", "crash"])), max_size=200))
def test_a_window_counts_what_it_is_told(happened: list[float | str]) -> None:
    window = BakeWindow()
    for what in happened:
        if what == "crash":
            window.crashed()
        elif isinstance(what, str):
            window.failed(not_finite=what == "nan")
        else:
            window.answered(what, {"kind": "voice", "speech": what > 500})
    found = window.summary()
    times = sorted(what for what in happened if not isinstance(what, str))
    assert found.times_ms.get(1, ()) == pytest.approx(times, rel=1e-6)
    assert found.failed == happened.count("failed") + happened.count("nan")
    assert (found.not_finite, found.crashes) == (happened.count("nan"), happened.count("crash"))
    assert found.requests == window.requests == found.recent == len(times) + found.failed
    assert sum(found.classes.values()) == len(times)


def test_a_window_keeps_the_last_requests_and_forgets_older_ones() -> None:
    window = BakeWindow()
    for _ in range(100):
        window.failed()
    for number in range(RECENT):
        window.answered(float(number % 7), None)
    found = window.summary()
    assert (found.failed, len(found.times_ms[1]), found.requests) == (0, RECENT, RECENT + 100)
    assert (found.at_ms(0.5), found.at_ms(1.0), found.at_ms(0.0)) == (3.0, 6.0, 0.0)


def test_a_window_tells_runs_of_one_row_from_runs_of_many() -> None:
    window = BakeWindow()
    for number in range(RECENT + 100):
        window.answered(float(number), None, 1 + number % 4)
    found = window.summary()
    assert {rows: len(times) for rows, times in found.times_ms.items()} == dict.fromkeys(
        (1, 2, 3, 4), RECENT // 4
    )
    assert found.at_ms(1.0, 4) == RECENT + 99
    assert found.at_ms(1.0, 5) == 0.0


def test_a_flood_of_class_names_takes_no_memory() -> None:
    window = BakeWindow()
    for number in range(1000):
        classes: list[Any] = [{"label": str(number) * 100, "score": 0.5}]
        window.answered(1.0, {"kind": "classification", "classes": classes})
    assert len(window.summary().classes) <= 65
    assert max(map(len, window.summary().classes)) <= 64


@pytest.mark.parametrize(
    ("prediction", "classes"),
    [
        (None, ()),
        ({"kind": "classification", "classes": []}, ()),
        ({"kind": "detection", "objects": []}, ("nothing",)),
        ({"kind": "detection", "objects": [{"label": "cat"}, {"label": "cat"}]}, ("cat", "cat")),
        ({"kind": "anomaly", "anomaly": True}, ("True",)),
        ({"kind": "value", "values": {"t": 1.0}}, ()),
    ],
)
def test_classes_are_what_a_prediction_names(prediction: Any, classes: tuple[str, ...]) -> None:
    assert classes_of(prediction) == classes
