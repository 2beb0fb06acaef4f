"""No client ever takes more than its rate and burst, whoever else comes, and memory is bounded."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.serving.access.buckets import Buckets

RATES = st.sampled_from([0.25, 0.5, 1.0, 2.0, 8.0, 64.0])
# Steps that floating point holds exactly, so that a bound can be checked to the last request.
STEPS_S = st.integers(0, 64).map(lambda sixteenths: sixteenths / 16)


class Clients(RuleBasedStateMachine):
    """More clients than there is room for, asking as they like."""

    @initialize(rate=RATES, burst=st.integers(1, 6), room=st.integers(1, 3))
    def start(self, rate: float, burst: int, room: int) -> None:
        self.rate, self.burst, self.room = rate, burst, room
        self.buckets = Buckets(rate, burst, room)
        self.now_s = 100.0
        self.taken: dict[str, list[float]] = defaultdict(list)

    @rule(client=st.sampled_from("abcde"))
    def take(self, client: str) -> None:
        told_s = self.buckets.wait_s(client, self.now_s)
        wait_s = self.buckets.take(client, self.now_s)
        assert wait_s == told_s >= 0.0
        if wait_s == 0.0:
            self.taken[client].append(self.now_s)

    @rule(client=st.sampled_from("abcde"))
    def wait_and_take(self, client: str) -> None:
        """What was refused may be taken when that was said."""
        self.now_s += self.buckets.wait_s(client, self.now_s)
        self.take(client)
        assert self.taken[client][-1:] == [self.now_s]

    @rule(step_s=STEPS_S)
    def pass_time(self, step_s: float) -> None:
        self.now_s += step_s

    @invariant()
    def nobody_took_more_than_rate_and_burst(self) -> None:
        for times in getattr(self, "taken", {}).values():
            for first, begin_s in enumerate(times):
                for last in range(first, len(times)):
                    within_s = Fraction(times[last]) - Fraction(begin_s)
                    assert last - first + 1 <= self.burst + Fraction(self.rate) * within_s

    @invariant()
    def no_more_are_remembered_than_there_is_room_for(self) -> None:
        if hasattr(self, "buckets"):
            assert len(self.buckets) <= self.room


TestClients = Clients.TestCase
TestClients.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(st.floats(0.01, 1e6), st.integers(1, 5), st.integers(1, 200))
def test_who_asks_no_faster_than_the_rate_is_never_refused(rate: float, burst: int, count: int) -> None:
    buckets = Buckets(rate, burst)
    assert [buckets.take("a", index / rate) for index in range(count)] == [0.0] * count


def test_a_burst_is_taken_at_once_and_comes_back_with_time() -> None:
    buckets = Buckets(2.0, 3)
    assert [buckets.take("a", 10.0) for _ in range(5)] == [0.0, 0.0, 0.0, 0.5, 0.5]
    assert buckets.take("b", 10.0) == 0.0
    assert [buckets.take("a", 11.0) for _ in range(3)] == [0.0, 0.0, 0.5]


@given(st.lists(st.text(min_size=1, max_size=4), max_size=300))
def test_a_flood_of_names_costs_no_memory(names: list[str]) -> None:
    buckets = Buckets(1.0, 1, 16)
    for index, name in enumerate(names):
        buckets.take(name, index / 1000)
    assert len(buckets) <= 16


def test_who_comes_out_of_the_crowd_brings_no_second_burst() -> None:
    buckets = Buckets(1.0, 4, 1)
    assert buckets.take("first", 0.0) == 0.0
    taken = sum(buckets.take("crowd", 0.0) == 0.0 for _ in range(9))
    # The first one is full again and forgotten: there is room for one of the crowd.
    taken += sum(buckets.take("crowd", 1.0) == 0.0 for _ in range(9))
    assert taken == 5
