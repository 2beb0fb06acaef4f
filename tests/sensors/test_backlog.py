"""The backlog of discovery messages: bounds, order, coalescing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.sensors.backlog import Backlog
from tests.sensors.examples import message


def test_first_come_first_taken_in_slices() -> None:
    backlog = Backlog()
    for number in range(5):
        assert backlog.offer(message(f"t/{number}", b"x"))
    assert [each.topic for each in backlog.take(2)] == ["t/0", "t/1"]
    assert [each.topic for each in backlog.take(10)] == ["t/2", "t/3", "t/4"]
    assert backlog.take(10) == []
    assert backlog.take(-1) == []


def test_a_newer_message_takes_the_place_of_one_that_waits() -> None:
    backlog = Backlog()
    backlog.offer(message("a", b"old"))
    backlog.offer(message("b", b"x"))
    backlog.offer(message("a", b"newer"))
    assert [(each.topic, each.payload) for each in backlog.take(9)] == [("a", b"newer"), ("b", b"x")]
    assert backlog.superseded == 1


def test_where_each_message_counts_all_are_kept() -> None:
    backlog = Backlog()
    for payload in (b"1", b"2", b"3"):
        backlog.offer(message("a", payload), latest_only=False)
    assert [each.payload for each in backlog.take(9)] == [b"1", b"2", b"3"]


def test_what_does_not_fit_is_refused_and_counted() -> None:
    few = Backlog(max_messages=1)
    assert few.offer(message("a", b"1"))
    assert not few.offer(message("b", b"1"))
    assert few.offer(message("a", b"2"))
    small = Backlog(max_bytes=10)
    assert small.offer(message("a", b"123456789"))
    assert not small.offer(message("a", b"1234567890"))
    assert (few.refused, small.refused) == (1, 1)
    assert [each.payload for each in small.take(1)] == [b"123456789"]


OFFERS = st.lists(st.tuples(st.sampled_from("abc"), st.binary(max_size=6), st.booleans()), max_size=40)


@given(OFFERS, st.integers(1, 6), st.integers(1, 40))
def test_bounds_and_accounts_hold_whatever_is_offered(
    offers: list[tuple[str, bytes, bool]], max_messages: int, max_bytes: int
) -> None:
    backlog = Backlog(max_messages, max_bytes)
    taken = 0
    for number, (topic, payload, latest_only) in enumerate(offers):
        backlog.offer(message(topic, payload), latest_only=latest_only)
        assert len(backlog) <= max_messages
        assert backlog.waiting_bytes <= max_bytes
        if number % 7 == 6:
            taken += len(backlog.take(2))
    taken += len(backlog.take(len(offers)))
    assert taken + backlog.refused + backlog.superseded == len(offers)
    assert (len(backlog), backlog.waiting_bytes) == (0, 0)
