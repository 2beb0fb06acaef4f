"""Of a request in a trace the log says how it ended, once, where that is worth a line."""

from __future__ import annotations

import pytest

from gateway.errors import WrongShape
from gateway.operations.metrics import Metrics
from gateway.operations.tracing import begin_span, current_span, in_span
from gateway.serving.door_count import DoorCount
from gateway.serving.request_log import span_ended
from tests.serving.said import Lines, lines_said

__all__ = ["lines_said"]

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-00"
AGES_AGO_S = 3600.0


def test_a_request_that_failed_is_logged_with_its_trace(said: Lines) -> None:
    span = begin_span([PARENT])
    span.model = "m"
    span_ended(span, "http", "infer", "refused.shape", 0.0)
    (line,) = said()
    assert (line["event"], line["took_ms"] >= 0) == ("request_failed", True)
    fields = {key: value for key, value in line.items() if key not in {"time", "level", "event", "took_ms"}}
    assert fields == {
        "door": "http",
        "call": "infer",
        "model": "m",
        "label": "refused.shape",
        "trace_id": TRACE,
    }


@pytest.mark.parametrize(("slow_s", "events"), [(1.0, ["request_slow"]), (2 * AGES_AGO_S, []), (0.0, [])])
def test_a_request_that_took_long_is_logged_if_that_is_wanted(
    said: Lines, slow_s: float, events: list[str]
) -> None:
    span = begin_span([PARENT])
    span.began_s -= AGES_AGO_S
    span_ended(span, "grpc", "ModelInfer", "done", slow_s)
    found = said()
    assert [line["event"] for line in found] == events
    assert all(line["trace_id"] == TRACE and line["took_ms"] > 3e6 for line in found)


def test_a_client_that_left_is_no_failure(said: Lines) -> None:
    span_ended(begin_span([PARENT]), "http", "infer", "cancelled", 0.0)
    assert said() == []


def test_a_span_ends_once(said: Lines) -> None:
    span = begin_span([PARENT])
    for _ in range(2):
        span_ended(span, "http", "infer", "refused.shape", 0.0)
    assert len(said()) == 1


def test_whoever_counts_requests_ends_their_spans(said: Lines) -> None:
    count = DoorCount("http", ("infer",), Metrics().door_requests, slow_s=1.0)
    with in_span(begin_span([PARENT])), pytest.raises(WrongShape), count.request("infer"):
        raise WrongShape("no")
    with in_span(begin_span([PARENT])):
        count.ended("../x", "refused.shape")
    with count.request("infer") as request:
        request.failed("refused.shape")  # in no trace
        assert current_span() is None
    assert [line["call"] for line in said()] == ["infer", "other"]
