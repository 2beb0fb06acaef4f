"""What passes between a lane and its owner: batches out, answers back, and what a worker said of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.errors import GatewayError
from gateway.inference.model_shape import ModelShape
from gateway.inference.request import TensorBytes, Ticket
from gateway.model import ModelVersion


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """What a worker said when it was ready.

    Attributes:
        version: What it loaded.
        max_rows: Rows that one engine run takes; None if any number.
        stateful: Pipelines whose frames must run in order.
        kinds: What each pipeline's payloads must decode to (``images``, ``sound``, ``numbers``, ``tensors``).
        mapped: SHA-256 in hex of the mapped bytes that were loaded.
        pinned: Whether the file's pages are locked in memory.
        mapping_note: Why they are not; empty if they are.
        confined: What keeps the worker from changing files.
        divides: Whether it can make another worker of itself.
        shape: What requests without a pipeline may bring and get.
    """

    version: ModelVersion
    max_rows: int | None
    stateful: frozenset[str]
    kinds: Mapping[str, str]
    mapped: str = ""
    pinned: bool = False
    mapping_note: str = ""
    confined: str = ""
    divides: bool = False
    shape: ModelShape = field(default_factory=ModelShape)


class MemberAnswer(NamedTuple):
    """What a worker said about one member of a batch.

    Attributes:
        prediction: The answer; None with an error, or when there is nothing to say yet.
        error: What went wrong with this member alone.
        state: What its stream carries on.
        stages_ms: Milliseconds by stage.
        tensors: The model's outputs, for a request without a pipeline.
    """

    prediction: dict[str, Any] | None
    error: GatewayError | None
    state: bytes
    stages_ms: Mapping[str, float]
    tensors: tuple[TensorBytes, ...] = ()


@dataclass(slots=True, eq=False)
class Batch:
    """Requests that travel together.

    Attributes:
        number: Rising by one in each lane.
        tickets: The members.
        dispatched_s: When it was handed over.
        started_s: When it began to run, as far as the front end can know.
        major_faults: Pages for which the worker waited for the disk while it ran.
        is_spared: Whether the worker ended while it held this, and for another lane's fault.
    """

    number: int
    tickets: tuple[Ticket, ...]
    dispatched_s: float
    started_s: float
    major_faults: int = 0
    is_spared: bool = False

    @property
    def rows(self) -> int:
        """Rows of all members."""
        return sum(ticket.request.rows for ticket in self.tickets)
