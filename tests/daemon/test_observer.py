"""What the inference core tells is counted and logged, with its trace where it has one."""

from __future__ import annotations

from gateway.daemon.observer import Observer
from gateway.inference.request import InferRequest, Outcome, RequestState, Ticket, Timings
from gateway.operations.metrics import Metrics
from gateway.operations.series import Example
from tests.serving.said import Lines, lines_said

__all__ = ["lines_said"]

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def _request(trace: str) -> InferRequest:
    return InferRequest("m", "p", "cam/frame", b"", "", 0.0, 1.0, trace=trace)


def _ended(observer: Observer, trace: str, total_ms: float) -> None:
    ticket = Ticket(1, _request(trace), lambda _ticket, _outcome: None)
    observer.request_ended(ticket, Outcome(RequestState.DONE, timings=Timings(1.0, {"infer": 2.0}, total_ms)))


def test_the_whole_time_of_a_request_in_a_trace_is_an_example_of_its_bucket() -> None:
    metrics = Metrics()
    observer = Observer(metrics, lambda _model, _reason: None)
    _ended(observer, PARENT, 4.0)
    _ended(observer, "", 4.5)
    total, queue = (metrics.request_duration.at("m", "p", stage) for stage in ("total", "queue"))
    (example,) = total.examples.values()
    assert example == Example(TRACE, 0.004, example.unix_s)
    assert (sum(total.counts), queue.examples) == (2, {})


def test_a_quarantined_payload_is_logged_with_the_trace_that_brought_it(said: Lines) -> None:
    observer = Observer(Metrics(), lambda _model, _reason: None)
    observer.payload_quarantined(_request(PARENT), "ab")
    observer.payload_quarantined(_request(""), "cd")
    with_trace, without = said()
    assert (with_trace["stream"], with_trace["sha256"], with_trace["trace_id"]) == ("cam/frame", "ab", TRACE)
    assert "trace_id" not in without
