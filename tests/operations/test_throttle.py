"""Properties of the log throttle: nothing is lost from the counts, nothing grows without bound."""

from __future__ import annotations

from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.operations.throttle import OTHER, Held, Key, Throttle

MAX_KEYS = 3
NAMES = ("refused", "lost")
KEYS = st.tuples(st.sampled_from(NAMES), st.sampled_from(("a", "b", "c", "d", "e")))


class ThrottleMachine(RuleBasedStateMachine):
    """Floods of events in any order, against a ledger of what was said about each name."""

    @initialize(interval_s=st.floats(0.5, 20.0))
    def start(self, interval_s: float) -> None:
        self.interval_s = interval_s
        self.throttle = Throttle(interval_s, MAX_KEYS)
        self.now_s = 50.0
        self.passed_s: dict[Key, float] = {}
        self.held: Counter[str] = Counter()
        self.reported: Counter[str] = Counter()

    @rule(passed_s=st.floats(0.0, 15.0))
    def wait(self, passed_s: float) -> None:
        self.now_s += passed_s

    @rule(key=KEYS)
    def log(self, key: Key) -> None:
        suppressed = self.throttle.admit(key, self.now_s)
        if suppressed is None:
            self.held[key[0]] += 1
            return
        self.reported[key[0]] += suppressed
        # One place is shared by the subjects that find no room, so a subject can pass
        # in its own window just after it passed in the shared one, but never twice in its own.
        last_s = self.passed_s.get(key)
        if last_s is not None and len(self.passed_s) <= MAX_KEYS:
            assert self.now_s >= last_s + self.interval_s
        self.passed_s[key] = self.now_s

    @rule()
    def report(self) -> None:
        wakeup_s = self.throttle.next_wakeup_s()
        due = self.throttle.due(self.now_s)
        assert bool(due) == (wakeup_s is not None and wakeup_s <= self.now_s)
        self.count(due)

    @rule()
    def end(self) -> None:
        self.count(self.throttle.drain())
        self.passed_s.clear()
        assert self.held == self.reported

    @invariant()
    def keys_are_bounded(self) -> None:
        assert len(self.throttle) <= MAX_KEYS + len(NAMES)

    @invariant()
    def nothing_is_reported_that_was_not_held(self) -> None:
        assert self.reported <= self.held
        assert (self.throttle.next_wakeup_s() is None) == (self.reported == self.held)

    def count(self, reports: tuple[Held, ...]) -> None:
        for report in reports:
            assert report.count > 0
            self.reported[report.key[0]] += report.count


TestThrottleMachine = ThrottleMachine.TestCase


def test_a_burst_gives_one_line_and_one_count() -> None:
    throttle = Throttle(10.0)
    answers = [throttle.admit(("refused", "cam1"), 0.1 * number) for number in range(5)]
    assert answers == [0, None, None, None, None]
    assert throttle.next_wakeup_s() == 10.0
    assert throttle.due(9.9) == ()
    assert throttle.due(10.0) == (Held(("refused", "cam1"), 4),)
    assert throttle.next_wakeup_s() is None


def test_the_next_event_after_the_interval_carries_the_count() -> None:
    throttle = Throttle(10.0)
    assert [throttle.admit(("refused", "cam1"), second) for second in (0.0, 5.0, 10.0)] == [0, None, 1]


def test_subjects_beyond_the_bound_share_one_window() -> None:
    throttle = Throttle(10.0, max_keys=2)
    answers = [throttle.admit(("refused", str(number)), 0.0) for number in range(100)]
    assert answers == [0, 0, 0, *([None] * 97)]
    assert throttle.due(10.0) == (Held(("refused", OTHER), 97),)


def test_an_interval_of_zero_lets_everything_pass() -> None:
    throttle = Throttle(0.0)
    assert [throttle.admit(("refused", "cam1"), 0.0) for _ in range(3)] == [0, 0, 0]
    assert len(throttle) == 0
