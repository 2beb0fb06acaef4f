"""Logs how requests that belong to a trace ended, where they failed or were slow.

Here a span is over: an exporter of spans would take it from here.
"""

from __future__ import annotations

import time
from typing import Final

from gateway.operations.log import log
from gateway.operations.trace_context import Span

# How a request ends that was answered as it asked, or whose client left.
_WELL: Final = frozenset({"done", "cancelled"})


def span_ended(span: Span, door: str, call: str, outcome: str, slow_s: float) -> None:
    """Note that a span's request was answered, and log it if it failed or took long.

    Args:
        span: The span; a second end of it is passed over.
        door: ``http``, ``grpc``, ``mqtt``, ``memory``.
        call: What was asked for.
        outcome: ``done``, ``cancelled``, or the label of an error.
        slow_s: Seconds that are long; 0 for none.
    """
    if span.is_over:
        return
    took_s = time.monotonic() - span.began_s
    trace_id, took_ms = span.own.trace_id, round(took_s * 1e3, 3)
    model = span.model or None
    if outcome not in _WELL:
        log.event(
            "request_failed",
            door=door,
            call=call,
            model=model,
            label=outcome,
            took_ms=took_ms,
            trace_id=trace_id,
        )
    elif 0 < slow_s < took_s:
        log.event("request_slow", door=door, call=call, model=model, took_ms=took_ms, trace_id=trace_id)
    span.is_over = True
