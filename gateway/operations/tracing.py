"""Which request's span the code that runs now belongs to: asked for by the log, set by the doors.

A request without a ``traceparent`` has no span, and pays for no more than the question.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from gateway.operations.trace_context import Span, TraceParent, span_of

_SPAN: Final[ContextVar[Span | None]] = ContextVar("span", default=None)


def current_span() -> Span | None:
    """Return the span of the request that is answered now; None for none."""
    return _SPAN.get()


def current_parent() -> str:
    """Return the ``traceparent`` for what the request has done for it; empty for none."""
    span = _SPAN.get()
    return "" if span is None else str(span.own)


def begin_span(parents: Sequence[str], states: Sequence[str] = ()) -> Span:
    """Return the span of a request that came with these ``traceparent`` and ``tracestate``."""
    new = TraceParent(os.urandom(16).hex(), os.urandom(8).hex())
    return span_of(parents, states, new, time.monotonic())


def begin_within(span: Span) -> Span:
    """Return the span of one of the requests that a longer call is made of."""
    own = TraceParent(span.own.trace_id, os.urandom(8).hex(), span.own.flags)
    return Span(own, span.own.span_id, span.state, time.monotonic())


def enter_span(span: Span) -> None:
    """Let the rest of this task belong to a span."""
    _SPAN.set(span)


@contextmanager
def in_span(span: Span) -> Iterator[None]:
    """Let the block, and the tasks that it starts, belong to a span."""
    before = _SPAN.set(span)
    try:
        yield
    finally:
        _SPAN.reset(before)
