"""Counts the requests of one door by what they asked for and how they ended."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Iterable
from types import TracebackType
from typing import Final

from gateway.errors import GatewayBug, GatewayError
from gateway.operations.series import OTHER, Counters
from gateway.operations.tracing import current_span
from gateway.serving.request_log import span_ended

DONE: Final = "done"
CANCELLED: Final = "cancelled"


def outcome_of(error: BaseException | None) -> str:
    """Return in one word how a request ended: done, cancelled, or an error's label."""
    if error is None:
        return DONE
    if isinstance(error, GatewayError):
        return error.label
    return CANCELLED if isinstance(error, CancelledError) else GatewayBug.label


class CountedRequest:
    """One request, counted when its block is left: by the exception that leaves it, or by what was noted."""

    __slots__ = ("_count", "_method", "_outcome")

    def __init__(self, count: DoorCount, method: str) -> None:
        self._count = count
        self._method = method
        self._outcome = DONE

    def failed(self, label: str) -> None:
        """Note the label of the error that was answered, where no exception leaves the block."""
        self._outcome = label

    def __enter__(self) -> CountedRequest:
        """Return itself."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Count."""
        self._count.ended(self._method, outcome_of(exc) if exc is not None else self._outcome)


class DoorCount:
    """Counts for one door; used from the event loop alone."""

    def __init__(self, door: str, methods: Iterable[str], requests: Counters, slow_s: float = 0.0) -> None:
        """Prepare.

        Args:
            door: ``http``, ``grpc``, ``mqtt``.
            methods: What can be asked for; everything else counts as ``other``, so that nobody outside
                makes new series.
            requests: ``Metrics.door_requests``.
            slow_s: Seconds after which a request of a trace is logged as slow; 0 for never.
        """
        self._door = door
        self._slow_s = slow_s
        self._methods = frozenset(methods)
        self._requests = requests

    def ended(self, method: str, outcome: str) -> None:
        """Count a request that ended.

        Args:
            method: What it asked for.
            outcome: ``done``, ``cancelled``, or the label of an error, as ``outcome_of`` says.
        """
        known = method if method in self._methods else OTHER
        self._requests.add(1, self._door, known, outcome)
        span = current_span()
        if span is not None:
            span_ended(span, self._door, known, outcome, self._slow_s)

    def request(self, method: str) -> CountedRequest:
        """Return a context manager that counts one request when it is left."""
        return CountedRequest(self, method)
