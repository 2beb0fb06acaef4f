"""Each request is answered once, and only so many are under way."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.mqtt.message import Message
from gateway.serving.broker.envelope import ReturnAddress
from gateway.serving.broker.ledger import REMEMBERED, Entry, Ledger, Standing

BACK = ReturnAddress("re/me", b"7")


def request(mid: int = 1, payload: bytes = b"{}", *, duplicate: bool = False) -> Message:
    return Message("gw/porch/v2/models/cat/infer", payload, 1, False, 0.0, mid, duplicate=duplicate)


def test_so_many_are_taken_and_the_next_is_refused() -> None:
    ledger = Ledger(2)
    _, first = ledger.enter(request(1, b"a"), BACK)
    ledger.enter(request(2, b"b"), BACK)
    assert ledger.enter(request(3, b"c"), BACK)[0] is Standing.FULL
    assert len(ledger) == 2
    ledger.answered(first)
    assert ledger.enter(request(3, b"c"), BACK)[0] is Standing.NEW


def test_a_copy_joins_what_is_under_way() -> None:
    ledger = Ledger(1)
    first, again = request(1), request(2)
    _, entry = ledger.enter(first, BACK)
    assert ledger.enter(again, BACK) == (Standing.JOINED, entry)
    assert entry.copies == [first, again]
    assert len(ledger) == 1


def test_other_bytes_or_another_sender_are_another_request() -> None:
    ledger = Ledger(9)
    ledger.enter(request(1, b"a" * 9000 + b"b" + b"c" * 9000), BACK)
    assert ledger.enter(request(2, b"a" * 9000 + b"d" + b"c" * 9000), BACK)[0] is Standing.NEW
    assert ledger.enter(request(3, b"a"), ReturnAddress("re/you", b"7"))[0] is Standing.NEW
    assert ledger.enter(request(4, b"a"), ReturnAddress("re/me", b"8"))[0] is Standing.NEW


def test_without_correlation_data_only_the_brokers_mark_makes_a_copy() -> None:
    ledger, back = Ledger(9), ReturnAddress("re/me")
    ledger.enter(request(1), back)
    assert ledger.enter(request(2), back)[0] is Standing.NEW
    assert ledger.enter(request(1, duplicate=True), back)[0] is Standing.JOINED


def test_what_was_answered_is_not_answered_again_when_the_broker_sends_it_again() -> None:
    ledger = Ledger(9)
    _, entry = ledger.enter(request(5), BACK)
    ledger.answered(entry)
    assert len(ledger) == 0
    assert ledger.enter(request(5, duplicate=True), BACK)[0] is Standing.ANSWERED
    assert ledger.enter(request(5), BACK)[0] is Standing.NEW


def test_what_was_dropped_is_answered_when_the_broker_sends_it_again() -> None:
    ledger = Ledger(9)
    _, entry = ledger.enter(request(5), BACK)
    ledger.dropped(entry)
    ledger.dropped(entry)
    assert len(ledger) == 0
    assert ledger.enter(request(5, duplicate=True), BACK)[0] is Standing.NEW


def test_what_was_answered_is_forgotten_in_time() -> None:
    ledger = Ledger(9)
    for mid in range(1, REMEMBERED + 2):
        _, entry = ledger.enter(request(mid), BACK)
        ledger.answered(entry)
    assert ledger.enter(request(1, duplicate=True), BACK)[0] is Standing.NEW
    assert ledger.enter(request(2, duplicate=True), BACK)[0] is Standing.ANSWERED


class Session(RuleBasedStateMachine):
    """Any order of arrivals, copies, answers and losses."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(3)
        self.under_way: list[Entry] = []

    @rule(
        mid=st.integers(1, 4),
        payload=st.sampled_from([b"a", b"b"]),
        correlation=st.sampled_from([b"", b"1", b"2"]),
        duplicate=st.booleans(),
        qos=st.sampled_from([0, 1]),
    )
    def arrives(self, mid: int, payload: bytes, correlation: bytes, duplicate: bool, qos: int) -> None:
        message = replace(request(mid * qos, payload, duplicate=duplicate and qos == 1), qos=qos)
        standing, entry = self.ledger.enter(message, ReturnAddress("re/me", correlation))
        assert message in entry.copies
        if standing is Standing.NEW:
            self.under_way.append(entry)
        elif standing is Standing.JOINED:
            assert entry in self.under_way
        elif standing is Standing.FULL:
            assert len(self.under_way) == 3

    @rule(index=st.integers(0, 2), answered=st.booleans())
    def ends(self, index: int, answered: bool) -> None:
        if index < len(self.under_way):
            entry = self.under_way.pop(index)
            (self.ledger.answered if answered else self.ledger.dropped)(entry)

    @invariant()
    def as_many_as_known(self) -> None:
        assert len(self.ledger) == len(self.under_way) <= 3


TestSession = Session.TestCase
