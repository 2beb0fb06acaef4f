"""A request that is part of a trace goes on with it: in what models are asked, in the answer, in the log."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.serving.rest.rest_house import INFER, RestHouse, both
from tests.serving.said import Lines, lines_said

__all__ = ["lines_said"]

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
STATE = "rojo=00f067aa0ba902b7, congo=t61rcWkgMzE"
TRACED = {"traceparent": PARENT, "tracestate": STATE}


def test_model_and_client_are_told_of_the_gateways_span() -> None:
    house = RestHouse()
    got = house.get("POST", INFER, both(), TRACED)
    (call,) = house.models.calls
    assert got.status == 200
    assert got.headers["traceparent"] == call.trace
    assert (call.trace[:36], call.trace[52:]) == (PARENT[:36], PARENT[52:])
    assert call.trace[36:52] != PARENT[36:52]
    assert got.headers["tracestate"] == STATE


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [("/v2/nothing", {}, 404), (INFER, {}, 400), ("/v2/models/none/infer", both(), 404)],
)
def test_errors_are_answered_in_the_trace_too(path: str, body: Any, status: int) -> None:
    got = RestHouse().get("POST", path, body, TRACED)
    assert (got.status, got.headers["traceparent"][:36]) == (status, PARENT[:36])


def test_what_is_no_traceparent_is_answered_with_a_trace_that_begins_here() -> None:
    house = RestHouse()
    got = house.get("POST", INFER, both(), {"traceparent": f"{PARENT}-more", "tracestate": STATE})
    assert got.status == 200
    assert got.headers["traceparent"][3:35] not in ("0" * 32, TRACE)
    assert "tracestate" not in got.headers


def test_lines_of_state_are_one_and_two_traceparents_are_none() -> None:
    house = RestHouse()

    async def heads(*headers: tuple[bytes, bytes]) -> dict[bytes, bytes]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "http.request", "body": b""}

        given = {"path": "/v2/health/live", "raw_path": b"/v2/health/live", "client": ("127.0.0.1", 5)}
        await house.app({"type": "http", "method": "GET", **given, "headers": headers}, receive, send)
        return dict(sent[0]["headers"])

    parent = (b"traceparent", PARENT.encode())
    said = asyncio.run(heads((b"TraceState", b"a=1"), parent, (b"tracestate", b"b=2")))
    assert (said[b"tracestate"], said[b"traceparent"][:36]) == (b"a=1,b=2", PARENT[:36].encode())
    assert asyncio.run(heads(parent, parent))[b"traceparent"][3:35] != TRACE.encode()


def test_who_sends_none_gets_none() -> None:
    house = RestHouse()
    got = house.get("POST", INFER, both(), {"tracestate": STATE})
    assert not {"traceparent", "tracestate"} & set(got.headers)
    assert house.models.calls[0].trace == ""


def test_the_log_names_the_trace_of_failures_rejections_and_administration(said: Lines) -> None:
    house = RestHouse()
    house.get("POST", INFER, {}, TRACED)
    house.get("POST", "/v2/repository/models/add_sub/load", {}, TRACED)
    house.models.fails = RuntimeError("a bug")
    house.get("POST", INFER, both(), TRACED)

    async def from_elsewhere() -> None:
        await house.ask("POST", INFER, b"{}", TRACED, client="192.0.2.1")

    asyncio.run(from_elsewhere())
    lines = said()
    assert [line["event"] for line in lines] == [
        *("request_failed", "admin_call", "http_failed", "request_failed"),
        *("access_refused", "request_failed"),
    ]
    assert {line["trace_id"] for line in lines} == {TRACE}
