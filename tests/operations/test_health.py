"""Ready means answered lately by every model, with nothing in the way."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.operations.health import Health, Reason

MODELS = st.sampled_from(("face", "voice", "motion"))


class HealthMachine(RuleBasedStateMachine):
    """Reasons, canaries and passing time in any order, against the rules said plainly."""

    @initialize(max_age_s=st.integers(2, 40))
    def start(self, max_age_s: int) -> None:
        self.max_age_s = max_age_s
        self.health = Health(max_age_s)
        # Whole seconds: the sums below are then exact.
        self.now_s = 100
        self.reasons = {Reason.STARTING}
        self.expected: set[str] = set()
        self.excused: set[str] = set()
        self.answered_s: dict[str, int] = {}

    @rule(passed_s=st.integers(0, 15))
    def wait(self, passed_s: int) -> None:
        before = self.health.judge(self.now_s)
        wakeup_s = self.health.next_wakeup_s(self.now_s)
        self.now_s += passed_s
        after = self.health.judge(self.now_s)
        if wakeup_s is None or self.now_s <= wakeup_s:
            assert (before.ready, before.reasons) == (after.ready, after.reasons)
        else:
            assert before.reasons != after.reasons

    @rule(reason=st.sampled_from(Reason), stands=st.booleans())
    def change_reason(self, reason: Reason, stands: bool) -> None:
        if stands:
            self.health.set(reason)
            self.reasons.add(reason)
        else:
            self.health.clear(reason)
            self.reasons.discard(reason)

    @rule(models=st.sets(MODELS))
    def expect(self, models: set[str]) -> None:
        self.health.expect(models)
        self.expected = models
        self.answered_s = {name: at_s for name, at_s in self.answered_s.items() if name in models}

    @rule(models=st.sets(MODELS))
    def excuse(self, models: set[str]) -> None:
        self.health.excuse(models)
        self.excused = models

    @rule(model=MODELS)
    def answer(self, model: str) -> None:
        self.health.canary_answered(model, self.now_s)
        if model in self.expected:
            self.answered_s[model] = self.now_s
            assert self.health.judge(self.now_s).models[model].failure is None

    @rule(model=MODELS)
    def fail(self, model: str) -> None:
        before = self.health.judge(self.now_s).ready
        self.health.canary_failed(model, "engine.run")
        verdict = self.health.judge(self.now_s)
        assert verdict.ready == before
        if model in self.expected:
            assert verdict.models[model].failure == "engine.run"

    @invariant()
    def verdict_is_right(self) -> None:
        verdict = self.health.judge(self.now_s)
        fresh = {name for name, at_s in self.answered_s.items() if self.now_s - at_s <= self.max_age_s}
        assert set(verdict.models) == self.expected
        stale = self.expected - fresh - self.excused
        assert verdict.ready == (not self.reasons - {Reason.BROKER} and not stale)
        assert verdict.degraded == (Reason.BROKER in self.reasons)
        missing = {f"canary:{name}" for name in stale}
        assert set(verdict.reasons) == missing | {reason.value for reason in self.reasons}


TestHealthMachine = HealthMachine.TestCase


def test_the_broker_being_away_degrades_and_does_not_block() -> None:
    health = Health(30.0)
    health.clear(Reason.STARTING)
    health.set(Reason.BROKER)
    verdict = health.judge(0.0)
    assert (verdict.ready, verdict.degraded, verdict.reasons) == (True, True, ("broker",))


def test_a_shorter_greatest_age_counts_at_once() -> None:
    health = Health(30.0)
    health.clear(Reason.STARTING)
    health.expect(["face"])
    health.canary_answered("face", 0.0)
    assert health.judge(20.0).ready
    health.reconfigure(10.0)
    assert health.judge(20.0).reasons == ("canary:face",)
