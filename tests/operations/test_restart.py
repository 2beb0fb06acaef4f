"""Properties of the restart back-off: bounded, patient, and final when it gives up."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.operations.restart import GiveUp, Restart, RestartLimits, Wait

LIMITS = RestartLimits(min_s=0.1, max_s=5.0, crash_limit=4, crash_window_s=60.0)


class RestartMachine(RuleBasedStateMachine):
    """Crashes, successes and passing time in any order, against the four rules."""

    @initialize(
        min_s=st.floats(0.01, 2.0),
        factor=st.floats(1.0, 100.0),
        crash_limit=st.integers(1, 6),
        crash_window_s=st.floats(0.5, 100.0),
    )
    def start(self, min_s: float, factor: float, crash_limit: int, crash_window_s: float) -> None:
        self.limits = RestartLimits(min_s, min_s * factor, crash_limit, crash_window_s)
        self.restart = Restart(self.limits)
        self.now_s = 1000.0
        self.crashes_s: list[float] = []
        self.last_s = 0.0
        self.fresh = True
        self.over = False

    @rule(passed_s=st.floats(0.0, 50.0))
    def wait(self, passed_s: float) -> None:
        self.now_s += passed_s

    @rule(jitter=st.floats(0.0, 1.0))
    def crash(self, jitter: float) -> None:
        self.crashes_s.append(self.now_s)
        recent = [at for at in self.crashes_s if at > self.now_s - self.limits.crash_window_s]
        answer = self.restart.failed(self.now_s, jitter)
        if self.over or len(recent) >= self.limits.crash_limit:
            self.over = True
            assert isinstance(answer, GiveUp)
            return
        assert isinstance(answer, Wait)
        assert self.limits.min_s <= answer.delay_s <= self.limits.max_s
        assert answer.delay_s >= self.last_s
        if self.fresh:
            assert answer.delay_s <= 2 * self.limits.min_s
        self.fresh = False
        self.last_s = answer.delay_s

    @rule()
    def work(self) -> None:
        self.restart.stable(self.now_s)
        self.last_s = 0.0
        self.fresh = True

    @invariant()
    def says_whether_it_gave_up(self) -> None:
        assert self.restart.given_up == self.over


TestRestartMachine = RestartMachine.TestCase


def test_pauses_double_up_to_the_longest() -> None:
    restart = Restart(RestartLimits(min_s=0.5, max_s=3.0, crash_limit=100, crash_window_s=1.0))
    answers = [restart.failed(float(second), 0.0) for second in range(5)]
    assert answers == [Wait(0.5), Wait(1.0), Wait(2.0), Wait(3.0), Wait(3.0)]


def test_a_crash_loop_is_given_up_even_when_each_start_works_for_a_moment() -> None:
    restart = Restart(LIMITS)
    answers = []
    for second in range(4):
        restart.stable(float(second))
        answers.append(restart.failed(float(second), 0.0))
    assert answers == [Wait(0.1), Wait(0.1), Wait(0.1), GiveUp(4, 60.0)]


@pytest.mark.parametrize(
    "numbers", [(0.0, 1.0, 1, 1.0), (2.0, 1.0, 1, 1.0), (1.0, 2.0, 0, 1.0), (1.0, 2.0, 1, 0.0)]
)
def test_impossible_limits_are_refused(numbers: tuple[float, float, int, float]) -> None:
    with pytest.raises(ValueError, match="impossible restart limits"):
        RestartLimits(*numbers)
