"""The queue of messages that wait for the broker, against a plain list."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.mqtt.message import PublishProperties
from gateway.mqtt.outgoing import OVERHEAD_BYTES, Outgoing, OutgoingQueue

MAX_MESSAGES = 5
MAX_BYTES = 4 * OVERHEAD_BYTES + 200


def test_the_oldest_go_first_and_are_named() -> None:
    queue = OutgoingQueue(2, 1_000_000)
    first, second, third = (Outgoing(f"t/{index}", b"x") for index in range(3))
    assert queue.push(first) == ()
    assert queue.push(second) == ()
    (gone,) = queue.push(third)
    assert (gone.item, gone.reason) == (first, "queue_full")
    assert [queue.take(0.0)[0] for _ in range(3)] == [second, third, None]


def test_a_message_that_can_never_fit_takes_no_other_with_it() -> None:
    queue = OutgoingQueue(10, 1000)
    small, large = Outgoing("t", b"x"), Outgoing("t", b"x" * 1000)
    queue.push(small)
    (refused,) = queue.push(large)
    assert (refused.item, refused.reason) == (large, "too_large")
    assert queue.take(0.0) == (small, ())


def test_what_lies_beside_the_payload_counts_as_well() -> None:
    queue = OutgoingQueue(10, 1000)
    described = PublishProperties(content_type="c" * 200, properties={"k" * 200: "v" * 200})
    (refused,) = queue.push(Outgoing("t", b"", properties=described))
    assert refused.reason == "too_large"


class QueueMachine(RuleBasedStateMachine):
    """Order kept, limits kept, nothing lost without being named."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = OutgoingQueue(MAX_MESSAGES, MAX_BYTES)
        self.model: list[Outgoing] = []
        self.taken: list[Outgoing] = []
        self.now_s = 0.0
        self.count = 0

    def drop_from_model(self, reason: str, item: Outgoing) -> None:
        if reason == "queue_full":
            assert self.model.pop(0) is item

    @rule(size=st.integers(0, 300), life_s=st.none() | st.integers(0, 5))
    def push(self, size: int, life_s: int | None) -> None:
        self.count += 1
        expires_s = None if life_s is None else self.now_s + life_s
        item = Outgoing(f"t/{self.count}", bytes(size), expires_s=expires_s)
        self.model.append(item)
        for gone in self.queue.push(item):
            self.drop_from_model(gone.reason, gone.item)

    @rule()
    def take(self) -> None:
        item, expired = self.queue.take(self.now_s)
        for gone in expired:
            assert gone.reason == "expired"
            assert gone.item.expires_s is not None
            assert gone.item.expires_s <= self.now_s
            assert self.model.pop(0) is gone.item
        if item is None:
            assert not self.model
        else:
            assert self.model.pop(0) is item
            self.taken.append(item)

    @rule(count=st.integers(1, 3))
    def restore(self, count: int) -> None:
        back, self.taken = self.taken[-count:], self.taken[:-count]
        self.model[:0] = back
        for gone in self.queue.restore(back):
            self.drop_from_model(gone.reason, gone.item)

    @rule(seconds=st.integers(1, 4))
    def wait(self, seconds: int) -> None:
        self.now_s += seconds

    @invariant()
    def limits_hold(self) -> None:
        assert len(self.queue) == len(self.model) <= MAX_MESSAGES
        assert self.queue.size_bytes == sum(item.size_bytes for item in self.model) <= MAX_BYTES


TestQueue = QueueMachine.TestCase
TestQueue.settings = settings(max_examples=30, stateful_step_count=30)
