"""What is counted of demand, and what is told at once."""

from __future__ import annotations

import pytest

from gateway.daemon.demand_watch import Demand, DemandWatch
from gateway.errors import DeadlineQueued, DeadlineRunning, GatewayError, OutOfMemory, RunFailed
from gateway.inference.request import InferRequest, Outcome, RequestState, Ticket
from tests.inference.bench_of_lanes import Seen


def _ended(watch: DemandWatch, error: GatewayError | None, model: str = "m", stream: str = "s") -> None:
    request = InferRequest(model, "p", stream, b"", "{}", 0.0, 1.0)
    state = RequestState.FAILED if error else RequestState.DONE
    watch.request_ended(Ticket(1, request, lambda _t, _o: None), Outcome(state, error=error))


def test_demand_is_counted_by_model_and_begins_anew_when_it_was_taken() -> None:
    watch = DemandWatch(Seen())
    watch.batch_ran("m", 4, 0.25)
    watch.batch_ran("m", 1, 0.5)
    watch.batch_ran("other", 1, 1.0)
    _ended(watch, DeadlineQueued("late"))
    _ended(watch, DeadlineRunning("late"))
    _ended(watch, RunFailed("no"))
    _ended(watch, None)

    assert watch.take("m") == Demand(0.75, 2)
    assert watch.take("m") == Demand(0.0, 0)
    assert watch.take("other") == Demand(1.0, 0)


def test_everything_is_passed_on() -> None:
    inner = Seen()
    watch = DemandWatch(inner)
    watch.batch_ran("m", 4, 0.25)
    watch.faulted("m", 3)
    watch.worker_lost("m", 1, "exited with code 1", 2)
    watch.lanes_changed("m", 1, 2)
    watch.payload_quarantined(InferRequest("m", "p", "s", b"", "", 0.0, 1.0), "ab")
    watch.caller_failed("m", ValueError("x"))
    watch.out_of_service("m", RunFailed("gone"))
    _ended(watch, None)

    assert (inner.batches, inner.faults, inner.lost) == ([4], [3], ["exited with code 1"])
    assert (inner.lanes, inner.quarantined) == ([(1, 2)], ["ab"])
    assert inner.outages == ["ValueError('x')", "gone"]
    assert len(inner.ended) == 1


def test_a_failed_allocation_is_told_at_once_and_no_other_failure_is() -> None:
    told: list[tuple[str, str]] = []
    watch = DemandWatch(Seen())
    _ended(watch, OutOfMemory("nobody listens yet"))
    watch.on_exhausted = lambda model, why: told.append((model, why))
    _ended(watch, RunFailed("no"))
    _ended(watch, OutOfMemory("no memory for a batch"))
    assert told == [("m", "no memory for a batch")]


@pytest.mark.parametrize(
    ("reason", "is_told"),
    [
        ("was ended by SIGKILL", True),
        ("was ended by SIGKILL: said (something) before", True),
        ("was ended by SIGKILL (a batch ran longer than 5 s)", False),
        ("was ended by SIGSEGV", False),
        ("exited with code 1: was ended by SIGKILL", False),
    ],
)
def test_a_lane_that_somebody_else_killed_is_told_at_once(reason: str, is_told: bool) -> None:
    told: list[str] = []
    watch = DemandWatch(Seen())
    watch.on_killed = told.append
    watch.worker_lost("m", 1, reason, 0)
    assert told == (["m"] if is_told else [])


def test_one_stream_whose_payloads_never_fit_is_told_once_and_another_one_again() -> None:
    told: list[str] = []
    watch = DemandWatch(Seen())
    watch.on_exhausted = lambda model, _why: told.append(model)
    for _ in range(5):
        _ended(watch, OutOfMemory("no memory for this payload"), stream="huge")
    assert told == ["m"]
    _ended(watch, OutOfMemory("no memory for this payload"), stream="usual")
    _ended(watch, OutOfMemory("no memory for this payload"), "other", stream="usual")
    assert told == ["m", "m", "other"]
