"""Which boards an assignment means: buckets, percentages, pauses, times and windows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.updates.assignment import BUCKETS, Assignment, Window, Wish
from gateway.updates.release import Release
from gateway.updates.selection import (
    Choice,
    Selection,
    bucket,
    compatible,
    judge,
    judge_assigned,
    members,
)
from tests.updates.strategies import WINDOWS, WISHES, WORDS

DAY_S = 86_400
TIMES = st.floats(0, 4e9)


def minute(hour: int, minutes: int = 0) -> float:
    return (hour * 60 + minutes) * 60.0


@given(st.text(), WORDS, WORDS)
def test_a_bucket_is_always_the_same_and_in_range(seed: str, device: str, model: str) -> None:
    found = bucket(seed, device, model)
    assert found == bucket(seed, device, model)
    assert 0 <= found < BUCKETS


def test_buckets_are_those_of_every_other_gateway() -> None:
    # sha256("3|cam-1|door") mod 10000, worked out by another program.
    assert bucket("3", "cam-1", "door") == 8322


def test_boards_are_spread_evenly() -> None:
    found = [bucket("1", f"cam-{number}", "door") for number in range(2000)]
    assert 900 < sum(each < BUCKETS // 2 for each in found) < 1100
    other = [bucket("2", f"cam-{number}", "door") for number in range(2000)]
    assert sum(a == b for a, b in zip(found, other, strict=True)) < 20


@given(WISHES, WORDS, WORDS, TIMES, st.none() | WINDOWS, st.floats(0, 100))
def test_raising_the_percentage_never_deselects_a_board(
    wish: Wish, device: str, model: str, now_s: float, local: Window | None, percent: float
) -> None:
    low, high = sorted((wish.percent, percent))
    before = judge(replace(wish, percent=low), device, model, now_s, local)
    after = judge(replace(wish, percent=high), device, model, now_s, local)
    if before.choice is not Choice.OUTSIDE_PERCENT:
        assert after == before


@given(WISHES, WORDS, WORDS, TIMES)
def test_whole_percentages_mean_everybody_and_nobody(
    wish: Wish, device: str, model: str, now_s: float
) -> None:
    nobody = replace(wish, percent=0.0, paused=False, canary=())
    assert judge(nobody, device, model, now_s, None).choice is Choice.OUTSIDE_PERCENT
    everybody = replace(nobody, percent=100.0)
    assert judge(everybody, device, model, now_s, None).choice is not Choice.OUTSIDE_PERCENT


@given(WISHES, WORDS, WORDS, TIMES, st.none() | WINDOWS)
def test_after_the_wait_the_answer_is_another_one(
    wish: Wish, device: str, model: str, now_s: float, local: Window | None
) -> None:
    found = judge(wish, device, model, now_s, local)
    assert found.wait_s >= 0
    assert found.may_switch == (found.choice is Choice.SELECTED)
    if found.choice is Choice.NOT_YET:
        assert judge(wish, device, model, now_s + found.wait_s, local).choice is not Choice.NOT_YET
    if found.choice is Choice.OUTSIDE_WINDOW and found.wait_s < DAY_S:
        later = judge(wish, device, model, now_s + found.wait_s, local)
        assert later.choice is Choice.SELECTED
        earlier = judge(wish, device, model, now_s + found.wait_s / 2, local)
        assert earlier.choice is Choice.OUTSIDE_WINDOW


def test_a_pause_holds_canaries_too_and_a_canary_needs_no_percentage() -> None:
    wish = Wish(1, percent=0, canary=("cam-1",))
    assert judge(wish, "cam-1", "m", 0, None) == Selection(Choice.SELECTED)
    assert judge(wish, "cam-2", "m", 0, None) == Selection(Choice.OUTSIDE_PERCENT)
    assert judge(replace(wish, paused=True), "cam-1", "m", 0, None) == Selection(Choice.PAUSED)


def test_before_its_time_a_release_waits_for_it() -> None:
    assert judge(Wish(1, not_before=1000), "a", "m", 900.0, None) == Selection(Choice.NOT_YET, 100.0)
    assert not judge(Wish(1, not_before=1000), "a", "m", 900.0, None).may_fetch


@pytest.mark.parametrize(
    ("window", "local", "now_s", "wait_s"),
    [
        (Window(60, 120), None, minute(1), 0),
        (Window(60, 120), None, minute(2), minute(23)),
        (Window(60, 120), None, minute(0, 30), minute(0, 30)),
        (Window(60, 120), None, 365 * DAY_S + minute(1, 59), 0),
        # Over midnight.
        (Window(22 * 60, 120), None, minute(23), 0),
        (Window(22 * 60, 120), None, minute(1), 0),
        (Window(22 * 60, 120), None, minute(3), minute(19)),
        # The whole day.
        (Window(300, 300), None, minute(3), 0),
        # Both must be open.
        (Window(60, 180), Window(120, 240), minute(1), minute(1)),
        (Window(60, 180), Window(120, 240), minute(2, 30), 0),
        (Window(60, 180), Window(120, 240), minute(3), minute(23)),
        (None, Window(120, 240), minute(1), minute(1)),
        # They never are.
        (Window(60, 120), Window(180, 240), minute(1), DAY_S),
    ],
)
def test_only_the_switch_waits_for_the_window(
    window: Window | None, local: Window | None, now_s: float, wait_s: float
) -> None:
    found = judge(Wish(1, window=window), "a", "m", now_s, local)
    assert found.wait_s == pytest.approx(wait_s)
    assert found.may_switch == (wait_s == 0)
    assert found.may_fetch


@given(
    st.tuples(WISHES, WISHES, WISHES),
    WORDS,
    TIMES,
    st.none() | WINDOWS,
)
def test_the_models_of_a_set_are_judged_alike(
    wishes: tuple[Wish, Wish, Wish], device: str, now_s: float, local: Window | None
) -> None:
    models = dict(zip(("a", "b", "c"), wishes, strict=True))
    assignment = Assignment("g", 1, models, (("a", "b"),))
    first, second = (judge_assigned(assignment, device, name, now_s, local) for name in ("a", "b"))
    assert first == second
    assert first is not None
    if first.may_switch:
        assert all(judge(models[name], device, "a", now_s, local).may_switch for name in ("a", "b"))
    assert judge_assigned(assignment, device, "c", now_s, local) == judge(
        models["c"], device, "c", now_s, local
    )
    assert judge_assigned(assignment, device, "d", now_s, local) is None


def test_members_of_a_set_are_found_from_each_of_them() -> None:
    assignment = Assignment("g", 1, {}, (("a", "b"), ("c", "d")))
    assert [members(assignment, name) for name in "ade"] == [("a", "b"), ("c", "d"), ("e",)]


@pytest.mark.parametrize(
    ("needed", "have", "fits"),
    [
        ("", "0.1.0", True),
        ("0.1.0", "0.1.0", True),
        ("0.1.1", "0.1.0", False),
        ("0.9.0", "0.10.0", True),
        ("1.0.0", "1.0.0.dev3", True),
        ("1.0.0", "1.1", True),
        ("0.0.1", "unknown", False),
    ],
)
def test_a_release_says_the_least_gateway_that_runs_it(needed: str, have: str, fits: bool) -> None:
    release = Release("m", 1, "", "onnx", (), min_gateway=needed)
    assert (compatible(release, have, ()) == "") is fits


def test_a_release_may_be_for_some_boards_alone() -> None:
    release = Release("m", 1, "", "onnx", (), hardware=("nvidia-p3450-0000", "aarch64"))
    assert compatible(release, "0.1.0", ("x86_64", "aarch64")) == ""
    assert "is for nvidia-p3450-0000, aarch64; this is x86_64" in compatible(release, "0.1.0", ("x86_64",))
