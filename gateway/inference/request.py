"""One request's life: what was asked, the state machine as a table, how it ended.

Rules (each a property in ``tests/inference/test_request.py``):

1. A request ends exactly once: DONE, FAILED, EXPIRED or CANCELLED; ends absorb.
2. An event that the state does not allow raises and changes nothing.
3. Only a request that was given to a lane can be sent back to the queue.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.errors import GatewayError, IllegalTransition
from gateway.frames.prepared import JsonValue
from gateway.model import ModelVersion


class RequestState(enum.Enum):
    """Where a request is."""

    RECEIVED = "received"
    QUEUED = "queued"
    DISPATCHED = "dispatched"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class RequestEvent(enum.Enum):
    """What happens to a request."""

    ADMIT = "admit"
    REFUSE = "refuse"
    DISPATCH = "dispatch"
    RETRY = "retry"
    COMPLETE = "complete"
    FAIL = "fail"
    EXPIRE = "expire"
    CANCEL = "cancel"


_S, _E = RequestState, RequestEvent

TRANSITIONS: Mapping[RequestState, Mapping[RequestEvent, RequestState]] = {
    _S.RECEIVED: {_E.ADMIT: _S.QUEUED, _E.REFUSE: _S.FAILED},
    _S.QUEUED: {
        _E.DISPATCH: _S.DISPATCHED,
        _E.FAIL: _S.FAILED,
        _E.EXPIRE: _S.EXPIRED,
        _E.CANCEL: _S.CANCELLED,
    },
    _S.DISPATCHED: {
        _E.COMPLETE: _S.DONE,
        _E.FAIL: _S.FAILED,
        _E.EXPIRE: _S.EXPIRED,
        _E.CANCEL: _S.CANCELLED,
        _E.RETRY: _S.QUEUED,
    },
    _S.DONE: {},
    _S.FAILED: {},
    _S.EXPIRED: {},
    _S.CANCELLED: {},
}

ENDS = frozenset(state for state, ways in TRANSITIONS.items() if not ways)


class CancelReason(enum.Enum):
    """Why a request was cancelled."""

    CALLER = "cancelled"
    SUPERSEDED = "superseded"


Payload = bytes | memoryview


class TensorBytes(NamedTuple):
    """One output of a model: its name, NumPy's name of its type, its sizes, and its elements row by row."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: bytes


class InferRequest(NamedTuple):
    """One payload for one pipeline, or tensors for a model without one.

    Attributes:
        model: Name under ``models:``.
        pipeline: Name under ``pipelines:``; ``tensor_call.TENSORS`` for tensors.
        stream: Key of fair sharing and of carried state, such as ``door-cam/frame``.
        payload: The bytes as received; copied once, into shared memory, when a lane takes them.
        declared: ``to_json()`` of what is known about the payload: a ``Declaration`` or a ``TensorLayout``.
        arrived_s: Monotonic seconds at arrival.
        deadline_s: Monotonic seconds after which the answer is worthless.
        latest: True if a newer request of the same stream and pipeline may replace this one while it waits.
        ordered: True if requests of this stream and pipeline must run one at a time, in order.
        reset_gap_s: Silence after which carried state starts anew; below 0 to start anew in any case.
        rows: Rows of the model that it takes, as far as they are known beforehand.
        trace: A checked W3C ``traceparent``; empty for none.
        level: Those of a lower one run first; 0 for the board's own frames.
    """

    model: str
    pipeline: str
    stream: str
    payload: Payload
    declared: str
    arrived_s: float
    deadline_s: float
    latest: bool = False
    ordered: bool = False
    reset_gap_s: float = 2.0
    rows: int = 1
    trace: str = ""
    level: int = 0

    @property
    def queue_key(self) -> str:
        """Key of what shares fairly, replaces each other or keeps its order: one stream of one pipeline."""
        return f"{self.stream}|{self.pipeline}"


class Timings(NamedTuple):
    """Where the time of one answered request went, in milliseconds.

    Attributes:
        queue_ms: From arrival until a lane took it.
        stages_ms: Inside the worker: ``wait``, ``decode``, ``preprocess``, ``infer``, ``postprocess``.
        total_ms: From arrival until the answer was here.
    """

    queue_ms: float
    stages_ms: Mapping[str, float]
    total_ms: float


class Outcome(NamedTuple):
    """How a request ended.

    Attributes:
        state: One of ``ENDS``.
        prediction: What the pipeline said (DONE only); None if it had nothing to say yet.
        error: Why (FAILED and EXPIRED only).
        cancelled: Why (CANCELLED only).
        timings: Where the time went (DONE only).
        version: What ran (DONE only).
        batch_rows: Rows of the batch that it ran in (DONE only).
        tensors: What the model gave for tensors (DONE only).
    """

    state: RequestState
    prediction: dict[str, JsonValue] | None = None
    error: GatewayError | None = None
    cancelled: CancelReason | None = None
    timings: Timings | None = None
    version: ModelVersion | None = None
    batch_rows: int = 0
    tensors: tuple[TensorBytes, ...] = ()

    @classmethod
    def withdrawn(cls, reason: CancelReason) -> Outcome:
        """Return how a request ended that was taken back."""
        return cls(RequestState.CANCELLED, cancelled=reason)


OnDone = Callable[["Ticket", Outcome], None]


@dataclass(slots=True, eq=False)
class Ticket:
    """A request on its way. Only the scheduler that holds it changes it.

    Attributes:
        id: Unique in this process, in order of arrival.
        request: What was asked.
        on_done: Called exactly once, in the event loop, with the outcome.
        state: Where it is now.
        dispatched_s: When a lane took it last; 0 before.
        alone: True once it must not share a batch (its last batch crashed or failed).
        context: Whatever the caller wants back with the outcome.
    """

    id: int
    request: InferRequest
    on_done: OnDone
    state: RequestState = RequestState.RECEIVED
    dispatched_s: float = 0.0
    alone: bool = False
    context: object = field(default=None)

    def step(self, event: RequestEvent) -> RequestState:
        """Move along the table and return the new state.

        Raises:
            IllegalTransition: The table has no such way; nothing changed.
        """
        new = TRANSITIONS[self.state].get(event)
        if new is None:
            raise IllegalTransition(f"request {self.id}: {event.value} while {self.state.value}")
        self.state = new
        return new

    @property
    def ended(self) -> bool:
        """Whether an outcome was given."""
        return self.state in ENDS
