"""The policy of a watched rollout: never upwards without success, never on with too many failures."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import PublishRefused
from gateway.updates.outcome import Counts
from gateway.updates.rollout_watch import Move, OnError, Policy, Watching, step

POLICY = Policy((5.0, 25.0, 100.0), success_rate=0.9, error_rate=0.1, min_boards=5)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    steps = draw(st.lists(st.floats(0.01, 100), min_size=1, max_size=5, unique=True))
    return Policy(
        tuple(sorted(steps)),
        draw(st.floats(0.01, 1)),
        draw(st.floats(0, 0.99)),
        draw(st.integers(1, 20)),
        draw(st.sampled_from([0.0, 60.0])),
        draw(st.sampled_from(OnError)),
    )


@st.composite
def counts(draw: st.DrawFn) -> Counts:
    committed, failed, more = draw(st.tuples(*[st.integers(0, 40)] * 3))
    return Counts(committed + failed + more, committed, failed)


@given(policies(), st.floats(0, 100), counts(), st.none() | st.floats(0, 1000), st.floats(1000, 2000))
def test_a_rollout_rises_one_step_at_a_time_and_only_by_success(
    policy: Policy, percent: float, held: Counts, since_s: float | None, now_s: float
) -> None:
    watching, decision = step(policy, Watching(percent, since_s), held, now_s)
    assert decision.percent == watching.percent
    assert decision.percent >= percent
    if decision.move is Move.RAISE:
        assert decision.percent == min(each for each in policy.steps if each > percent)
        assert watching.since_s is None
    else:
        assert decision.percent == percent
    if decision.move in (Move.RAISE, Move.DONE) and percent >= policy.steps[0]:
        assert held.committed >= policy.success_rate * held.selected
        assert since_s is not None or policy.soak_s == 0
    if decision.move is Move.DONE:
        assert percent >= policy.steps[-1]
    if decision.move in (Move.PAUSE, Move.REVERT):
        assert decision.move.value == policy.on_error.value
        assert held.finished > 0


@given(policies(), counts(), st.floats(0, 1000))
def test_with_enough_failures_no_rollout_goes_on(policy: Policy, held: Counts, since_s: float) -> None:
    if held.finished < policy.min_boards or held.failed <= policy.error_rate * held.finished:
        return
    for percent in policy.steps:
        _, decision = step(policy, Watching(percent, since_s), held, 1e6)
        assert decision.move in (Move.PAUSE, Move.REVERT)


@given(policies(), counts(), counts())
def test_every_rollout_whose_boards_are_all_done_comes_to_an_end(
    policy: Policy, first: Counts, second: Counts
) -> None:
    watching, now_s, moves = Watching(0.0), 0.0, []
    for index in range(3 * len(policy.steps) + 3):
        held = first if index % 2 else second
        held = replace(held, selected=held.finished)
        watching, decision = step(policy, watching, held, now_s)
        moves.append(decision.move)
        now_s += 60
        if decision.move not in (Move.WAIT, Move.RAISE):
            break
    assert moves[-1] in (Move.DONE, Move.PAUSE, Move.REVERT)


@pytest.mark.parametrize(
    ("held", "move"),
    [
        (Counts(20, 10, 0), Move.WAIT),
        (Counts(20, 18, 0), Move.RAISE),
        (Counts(20, 18, 2), Move.RAISE),
        (Counts(20, 17, 3), Move.PAUSE),
        # Two of two are all that is known: too few to judge.
        (Counts(20, 0, 2), Move.WAIT),
        (Counts(20, 4, 1), Move.PAUSE),
        # No more boards will come than the two that are selected.
        (Counts(2, 0, 2), Move.PAUSE),
        # Everybody is done, but too few committed.
        (Counts(10, 8, 2), Move.PAUSE),
        # A step that selects nobody is no obstacle.
        (Counts(0, 0, 0), Move.RAISE),
    ],
)
def test_two_thresholds_and_a_least_number_of_boards_decide(held: Counts, move: Move) -> None:
    assert step(POLICY, Watching(5.0), held, 0.0)[1].move is move


def test_a_rollout_begins_with_the_first_step() -> None:
    watching, decision = step(POLICY, Watching(0.0), Counts(), 0.0)
    assert (decision.move, watching.percent) == (Move.RAISE, 5.0)


def test_a_success_must_last() -> None:
    policy = replace(POLICY, soak_s=100.0)
    done, half = Counts(10, 10, 0), Counts(12, 6, 0)
    watching, decision = step(policy, Watching(5.0), done, 1000.0)
    assert (decision.move, watching.since_s) == (Move.WAIT, 1000.0)
    assert step(policy, watching, done, 1099.0)[1].move is Move.WAIT
    assert step(policy, watching, done, 1100.0)[1].move is Move.RAISE
    interrupted, _ = step(policy, watching, half, 1050.0)
    assert interrupted.since_s is None
    assert step(policy, interrupted, done, 1100.0)[1].move is Move.WAIT


def test_the_last_step_is_the_end() -> None:
    assert step(POLICY, Watching(100.0), Counts(9, 9, 0), 0.0)[1].move is Move.DONE


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": ()},
        {"steps": (0.0, 5.0)},
        {"steps": (5.0, 5.0)},
        {"steps": (50.0, 25.0)},
        {"steps": (50.0, 100.5)},
        {"steps": (float("nan"),)},
        {"success_rate": 0.0},
        {"success_rate": 1.1},
        {"error_rate": 1.0},
        {"error_rate": float("nan")},
        {"min_boards": 0},
        {"soak_s": -1.0},
        {"soak_s": float("nan")},
    ],
)
def test_numbers_that_make_no_policy_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(PublishRefused):
        replace(POLICY, **wrong)  # type: ignore[arg-type]
