"""Who is told what the inference core does: counts and logs are somebody else's business."""

from __future__ import annotations

from typing import Protocol

from gateway.errors import GatewayError
from gateway.inference.request import InferRequest, Outcome, Ticket


class SchedulerObserver(Protocol):
    """Who counts and logs; called in the event loop, must not raise."""

    def request_ended(self, ticket: Ticket, outcome: Outcome) -> None:
        """A request ended."""
        ...

    def batch_ran(self, model: str, rows: int, took_s: float) -> None:
        """A batch came back."""
        ...

    def faulted(self, model: str, count: int) -> None:
        """A batch waited ``count`` times for a page from the disk."""
        ...

    def worker_lost(self, model: str, pid: int, reason: str, requests: int) -> None:
        """A worker died with ``requests`` requests in its hands."""
        ...

    def lanes_changed(self, model: str, ready: int, wanted: int) -> None:
        """A lane became ready or has gone."""
        ...

    def payload_quarantined(self, request: InferRequest, digest: str) -> None:
        """A payload killed two workers and is not run again."""
        ...

    def caller_failed(self, model: str, error: Exception) -> None:
        """A caller raised when it was given its outcome: a bug of the gateway."""
        ...

    def out_of_service(self, model: str, error: GatewayError) -> None:
        """Workers died too often."""
        ...
