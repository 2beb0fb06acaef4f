"""Requests under way are counted for each client, never below none, and never beyond what is allowed."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.errors import GatewayBug, Overloaded, RateLimited
from gateway.serving.access.concurrency import Concurrency

CLIENTS = st.sampled_from("abcd")


class Running(RuleBasedStateMachine):
    """Clients that come and go in any order, against a plain count."""

    @initialize(most=st.integers(1, 3), room=st.integers(1, 3))
    def start(self, most: int, room: int) -> None:
        self.most, self.room = most, room
        self.concurrency = Concurrency(most, room)
        self.model: Counter[str] = Counter()

    @rule(client=CLIENTS)
    def enter(self, client: str) -> None:
        if self.model[client] >= self.most:
            with pytest.raises(RateLimited):
                self.concurrency.enter(client)
        elif not self.model[client] and len(+self.model) >= self.room:
            with pytest.raises(Overloaded):
                self.concurrency.enter(client)
        else:
            self.concurrency.enter(client)
            self.model[client] += 1

    @rule(client=CLIENTS)
    def leave(self, client: str) -> None:
        if self.model[client]:
            self.concurrency.leave(client)
            self.model[client] -= 1
        else:
            with pytest.raises(GatewayBug):
                self.concurrency.leave(client)

    @rule(most=st.integers(1, 3))
    def change(self, most: int) -> None:
        self.most = self.concurrency.most = most

    @invariant()
    def it_counts_as_it_should(self) -> None:
        if hasattr(self, "concurrency"):
            assert {each: self.concurrency.running(each) for each in "abcd"} == {
                each: self.model[each] for each in "abcd"
            }
            assert len(self.concurrency) == len(+self.model) <= self.room


TestRunning = Running.TestCase
TestRunning.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_refusal_says_when_to_come_again() -> None:
    concurrency = Concurrency(1)
    concurrency.enter("a")
    with pytest.raises(RateLimited) as refused:
        concurrency.enter("a")
    assert refused.value.attributes == {"reason": "concurrency", "retry_after_s": 1.0}
