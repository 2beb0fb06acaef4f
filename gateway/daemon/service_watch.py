"""What one version of a model does: passed on while it serves, and kept for judging it."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable

from gateway.daemon.service_counts import ServiceCounts
from gateway.errors import DeadlineRunning, EngineFailed, GatewayError, WorkerCrashed
from gateway.inference.observer import SchedulerObserver
from gateway.inference.request import InferRequest, Outcome, RequestState, Ticket
from gateway.updates.bake import BakeWindow


class Role(enum.Enum):
    """What a version is to the outside."""

    CANDIDATE = "candidate"
    SERVING = "serving"
    BESIDE = "beside"
    PAST = "past"


class ServiceWatch:
    """The observer of one scheduler.

    A candidate answers nobody: what it does is not counted as service, and its
    end is no outage. A past version still answers what it holds. One beside another
    answers who asks for it, but its lanes are not those that follow demand.

    Attributes:
        role: What the version is now.
        window: What it did since it serves, for judging it.
        counts: What it did since it serves, for who asks.
        asked_s: When the request arrived that ended last, monotonic seconds; 0 for none.
        lost_because: Why no more lanes are started for it; empty while some are.
        on_lost: Told once when that happens.
    """

    def __init__(self, inner: SchedulerObserver) -> None:
        self.role = Role.CANDIDATE
        self.window = BakeWindow()
        self.counts = ServiceCounts()
        self.asked_s = 0.0
        self.lost_because = ""
        self.on_lost: Callable[[str], None] | None = None
        self._inner = inner

    def request_ended(self, ticket: Ticket, outcome: Outcome) -> None:
        """Keep how a request ended, and pass it on."""
        self._keep(outcome)
        if self.role is not Role.CANDIDATE:
            request = ticket.request
            self.asked_s = request.arrived_s
            age_ms = (time.monotonic() - request.arrived_s) * 1e3
            self.counts.ended(outcome, request.rows, age_ms, time.time_ns() // 1_000_000)
            self._inner.request_ended(ticket, outcome)

    def batch_ran(self, model: str, rows: int, took_s: float) -> None:
        """Pass the size of a batch on."""
        if self.role is not Role.CANDIDATE:
            self.counts.ran(rows, took_s)
            if self.role is not Role.BESIDE:  # the time of its lanes says nothing of the others' load
                self._inner.batch_ran(model, rows, took_s)

    def faulted(self, model: str, count: int) -> None:
        """Pass on that a batch waited for pages."""
        if self.role is not Role.CANDIDATE:
            self._inner.faulted(model, count)

    def worker_lost(self, model: str, pid: int, reason: str, requests: int) -> None:
        """Keep and pass on the end of a worker."""
        self.window.crashed()
        self._inner.worker_lost(model, pid, reason, requests)

    def lanes_changed(self, model: str, ready: int, wanted: int) -> None:
        """Pass on how many lanes serve."""
        if self.role is Role.SERVING:
            self._inner.lanes_changed(model, ready, wanted)

    def payload_quarantined(self, request: InferRequest, digest: str) -> None:
        """Pass on that a payload is refused from now on."""
        self._inner.payload_quarantined(request, digest)

    def caller_failed(self, model: str, error: Exception) -> None:
        """Pass on a bug."""
        self._inner.caller_failed(model, error)

    def out_of_service(self, model: str, error: GatewayError) -> None:
        """Keep that the version has given up; an outage only if it serves."""
        self.lost_because = error.message
        if self.role is Role.SERVING:
            self._inner.out_of_service(model, error)
        if self.on_lost is not None:
            self.on_lost(error.message)

    def _keep(self, outcome: Outcome) -> None:
        """Count what says something about the version: not what is refused, late, or given up."""
        if outcome.state is RequestState.DONE:
            stages_ms = outcome.timings.stages_ms if outcome.timings else {}
            spent_ms = sum(stages_ms.get(stage, 0.0) for stage in _OWN_STAGES)
            self.window.answered(spent_ms, outcome.prediction, outcome.batch_rows)
        elif isinstance(outcome.error, (EngineFailed, WorkerCrashed, DeadlineRunning)):
            self.window.failed(not_finite="NaN" in outcome.error.message)


# What a release is answerable for: its card says how payloads are prepared, and its model runs.
_OWN_STAGES = ("decode", "preprocess", "infer", "postprocess")
