"""What is wanted of each model, counted between two samples: how busy its lanes were, what came too late.

An observer in front of another one: it counts, and passes everything on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.errors import DeadlineExceeded, GatewayError, OutOfMemory
from gateway.inference.observer import SchedulerObserver
from gateway.inference.request import InferRequest, Outcome, Ticket

_KILLED = "was ended by SIGKILL"


@dataclass(slots=True)
class Demand:
    """What happened to one model since it was last asked.

    Attributes:
        busy_s: Time that its lanes spent on batches.
        deadline_misses: Requests that expired.
    """

    busy_s: float = 0.0
    deadline_misses: int = 0


class DemandWatch:
    """Counts demand by model, and tells at once what may mean that memory has run out.

    Attributes:
        on_exhausted: Told the model and the error when an allocation failed; once while it is one stream's.
        on_killed: Told the model when a lane was killed by somebody else than us, as the kernel does when
            memory ends.
    """

    def __init__(self, inner: SchedulerObserver) -> None:
        """Stand in front of another observer, which is told everything."""
        self.on_exhausted: Callable[[str, str], None] | None = None
        self.on_killed: Callable[[str], None] | None = None
        self._inner = inner
        self._seen: dict[str, Demand] = {}
        self._exhausted_by: dict[str, str] = {}

    def take(self, model: str) -> Demand:
        """Return what was counted since the last call, and begin anew."""
        return self._seen.pop(model, Demand())

    def request_ended(self, ticket: Ticket, outcome: Outcome) -> None:
        """Count requests that came too late, and notice one that no memory was left for."""
        if isinstance(outcome.error, DeadlineExceeded):
            self._of(ticket.request.model).deadline_misses += 1
        elif isinstance(outcome.error, OutOfMemory) and self.on_exhausted is not None:
            request = ticket.request
            # A payload that no memory is ever enough for comes again and again, and says nothing of memory.
            if self._exhausted_by.get(request.model) != request.stream:
                self._exhausted_by[request.model] = request.stream
                self.on_exhausted(request.model, outcome.error.message)
        self._inner.request_ended(ticket, outcome)

    def batch_ran(self, model: str, rows: int, took_s: float) -> None:
        """Count the time of a batch."""
        self._of(model).busy_s += took_s
        self._inner.batch_ran(model, rows, took_s)

    def faulted(self, model: str, count: int) -> None:
        """Pass on."""
        self._inner.faulted(model, count)

    def worker_lost(self, model: str, pid: int, reason: str, requests: int) -> None:
        """Notice a lane that somebody else has killed."""
        how, _, _ = reason.partition(":")  # what it said last may be anything
        if how == _KILLED and self.on_killed is not None:  # where we killed it, the reason says why
            self.on_killed(model)
        self._inner.worker_lost(model, pid, reason, requests)

    def lanes_changed(self, model: str, ready: int, wanted: int) -> None:
        """Pass on."""
        self._inner.lanes_changed(model, ready, wanted)

    def payload_quarantined(self, request: InferRequest, digest: str) -> None:
        """Pass on."""
        self._inner.payload_quarantined(request, digest)

    def caller_failed(self, model: str, error: Exception) -> None:
        """Pass on."""
        self._inner.caller_failed(model, error)

    def out_of_service(self, model: str, error: GatewayError) -> None:
        """Pass on."""
        self._inner.out_of_service(model, error)

    def _of(self, model: str) -> Demand:
        return self._seen.setdefault(model, Demand())
