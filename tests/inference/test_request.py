"""The request state machine."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import IllegalTransition
from gateway.inference.request import ENDS, TRANSITIONS, InferRequest, RequestEvent, RequestState, Ticket


def _ticket() -> Ticket:
    request = InferRequest("m", "p", "s", b"", "{}", 0.0, 1.0)
    return Ticket(1, request, lambda _ticket, _outcome: None)


@given(st.lists(st.sampled_from(RequestEvent)))
def test_any_events_move_along_the_table_and_illegal_ones_change_nothing(events: list[RequestEvent]) -> None:
    ticket = _ticket()
    ends = 0
    for event in events:
        before = ticket.state
        if event in TRANSITIONS[before]:
            assert ticket.step(event) is TRANSITIONS[before][event]
            ends += ticket.ended
        else:
            with pytest.raises(IllegalTransition):
                ticket.step(event)
            assert ticket.state is before
    assert ends <= 1


def test_every_state_is_in_the_table_and_the_ends_absorb() -> None:
    assert set(TRANSITIONS) == set(RequestState)
    assert {s.value for s in ENDS} == {"done", "failed", "expired", "cancelled"}


def test_only_a_dispatched_request_is_retried() -> None:
    assert [s for s, ways in TRANSITIONS.items() if RequestEvent.RETRY in ways] == [RequestState.DISPATCHED]
