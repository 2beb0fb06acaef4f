"""Code knows whose request it answers, and the log says so."""

from __future__ import annotations

import asyncio

from gateway.operations.log import log
from gateway.operations.tracing import begin_span, begin_within, current_parent, current_span, in_span
from tests.serving.said import Lines, lines_said

__all__ = ["lines_said"]

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def test_a_span_is_seen_in_its_block_and_in_tasks_begun_there_and_nowhere_else() -> None:
    span = begin_span([PARENT])

    async def seen() -> object:
        await asyncio.sleep(0)
        return current_span()

    async def run() -> list[object]:
        before = asyncio.ensure_future(seen())
        with in_span(span):
            within = asyncio.ensure_future(seen())
        return [await before, await within, await seen()]

    assert asyncio.run(run()) == [None, span, None]


def test_what_is_done_for_a_request_has_the_gateways_span_as_parent() -> None:
    span = begin_span([PARENT], ["a=1"])
    assert current_parent() == ""
    with in_span(span):
        assert current_parent() == f"00-{TRACE}-{span.own.span_id}-01"
    assert begin_span([PARENT]).own.span_id != span.own.span_id


def test_requests_of_one_call_have_spans_of_their_own_below_its() -> None:
    whole = begin_span([PARENT], ["a=1"])
    one, other = begin_within(whole), begin_within(whole)
    assert {one.parent_id, other.parent_id} == {whole.own.span_id}
    assert len({one.own.span_id, other.own.span_id, whole.own.span_id}) == 3
    assert (one.own.trace_id, one.own.flags, one.state) == (TRACE, 1, "a=1")


def test_every_line_about_a_request_names_its_trace_until_it_was_answered(said: Lines) -> None:
    span = begin_span([PARENT])
    with in_span(span):
        log.event("starting", version="1")
        log.event("starting", version="2", trace_id="its own")
        span.is_over = True
        log.event("starting", version="3")
    log.event("starting", version="4")
    assert [(line["version"], line.get("trace_id")) for line in said()] == [
        ("1", TRACE),
        ("2", "its own"),
        ("3", None),
        ("4", None),
    ]
