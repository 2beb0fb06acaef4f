"""What the inference core does, as counts and log events."""

from __future__ import annotations

import time
from collections.abc import Callable

from gateway.errors import GatewayBug, GatewayError
from gateway.inference.request import InferRequest, Outcome, RequestState, Ticket
from gateway.operations.log import log
from gateway.operations.metrics import Metrics
from gateway.operations.series import Distribution, Example

_KILLED = "killed"
_EXITED = "exited"
_HUNG = "hung"


class Observer:
    """Counts requests, batches and workers; says what an operator must know."""

    def __init__(self, metrics: Metrics, out_of_service: Callable[[str, str], None]) -> None:
        self._metrics = metrics
        self._out_of_service = out_of_service
        self._durations: dict[tuple[str, str, str], Distribution] = {}

    def request_ended(self, ticket: Ticket, outcome: Outcome) -> None:
        """Count a request and, if it was answered, where its time went."""
        request, timings = ticket.request, outcome.timings
        self._metrics.requests.add(1, request.model, outcome.state.value)
        if outcome.error is not None:
            self._metrics.errors.add(1, outcome.error.label)
        if outcome.state is not RequestState.DONE or timings is None:
            return
        self._observe(request.model, request.pipeline, "total", timings.total_ms)
        self._observe(request.model, request.pipeline, "queue", timings.queue_ms)
        if request.trace:
            cell = self._metrics.request_duration.at(request.model, request.pipeline, "total")
            cell.exemplify(Example(request.trace[3:35], timings.total_ms * 1e-3, time.time()))
        for stage, took_ms in timings.stages_ms.items():
            self._observe(request.model, request.pipeline, stage, took_ms)

    def batch_ran(self, model: str, rows: int, took_s: float) -> None:  # noqa: ARG002 - the core's seam
        """Count the size of a batch."""
        self._metrics.batch_rows.at(model).observe(rows)

    def faulted(self, model: str, count: int) -> None:
        """Count pages that a request had to wait for."""
        self._metrics.worker_major_faults.add(count, model)

    def worker_lost(self, model: str, pid: int, reason: str, requests: int) -> None:
        """Count and log the end of a worker."""
        kind = _HUNG if "longer than" in reason else _KILLED if "ended by" in reason else _EXITED
        self._metrics.worker_restarts.add(1, model, kind)
        log.event("worker_lost", model=model, worker_pid=pid, reason=reason, requests=requests)

    def lanes_changed(self, model: str, ready: int, wanted: int) -> None:
        """Log how many lanes a model has."""
        log.event("lanes_changed", model=model, ready=ready, wanted=wanted)

    def payload_quarantined(self, request: InferRequest, digest: str) -> None:
        """Count and log a payload that is refused from now on."""
        self._metrics.quarantined_payloads.add(1, request.model)
        trace_id = request.trace[3:35] or None
        log.event(
            "payload_quarantined",
            model=request.model,
            stream=request.stream,
            sha256=digest,
            trace_id=trace_id,
        )

    def caller_failed(self, model: str, error: Exception) -> None:
        """Log a bug on the way out of an answer; the other answers of the batch are not touched."""
        self._metrics.errors.add(1, GatewayBug.label)
        log.event("task_failed", task=f"answers of {model}", error=error)

    def out_of_service(self, model: str, error: GatewayError) -> None:
        """Count and log that a model does not serve, and tell the catalogue."""
        self._metrics.errors.add(1, error.label)
        log.event("model_out_of_service", model=model, reason=error.message, error=error)
        self._out_of_service(model, error.message)

    def _observe(self, model: str, pipeline: str, stage: str, took_ms: float) -> None:
        key = (model, pipeline, stage)
        cell = self._durations.get(key)
        if cell is None:
            cell = self._durations[key] = self._metrics.request_duration.at(*key)
        cell.observe(took_ms * 1e-3)
