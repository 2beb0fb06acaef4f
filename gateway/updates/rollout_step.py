"""One step of a rollout: what it leaves behind, and what of that survives a restart. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from gateway.errors import IllegalTransition
from gateway.updates.release import ReleaseRef
from gateway.updates.rollout_actions import Action
from gateway.updates.rollout_table import TRANSITIONS, Way
from gateway.updates.state import ModelRecord, Phase

NO_CANDIDATE: Final[Mapping[str, Any]] = {
    "candidate": None,
    "attempts": 0,
    "retry_unix_s": 0,
    "boots": 0,
    "baked_s": 0.0,
    "baked_requests": 0,
}
MOST_REASON: Final = 1000


@dataclass(frozen=True, slots=True)
class Rules:
    """How patient to be.

    Attributes:
        max_boots: Starts in the bake, or tries of a validation, after which a release is given up.
        min_retry_s: Shortest pause between two tries.
        max_retry_s: Longest pause between two tries.
    """

    max_boots: int = 3
    min_retry_s: int = 10
    max_retry_s: int = 21_600


@dataclass(frozen=True, slots=True)
class Step:
    """What one event did.

    Attributes:
        record: The record now; its ``seq`` rose by one if it must be written.
        actions: What to do, in this order.
        note: Name of the way that was gone; empty if nothing happened that is worth telling.
        urgent: True if the actions bear no delay even where the record cannot be written.
    """

    record: ModelRecord
    actions: tuple[Action, ...] = ()
    note: str = ""
    urgent: bool = False


def durable(record: ModelRecord) -> ModelRecord:
    """Return what of a record survives a restart, and is written."""
    if record.phase is Phase.SHADOWING:
        return replace(record, phase=Phase.READY)
    if record.phase in (Phase.FETCHING, Phase.STAGED):
        candidate = record.candidate if record.attempts else None
        return replace(record, phase=Phase.IDLE, candidate=candidate)
    return record


def condemned(record: ModelRecord) -> bool:
    """Tell whether the candidate has failed and is not yet known to be in quarantine."""
    return record.phase is Phase.IDLE and record.candidate is not None and not record.attempts


def stay(record: ModelRecord, *actions: Action) -> Step:
    """Return a step that leaves the record as it is."""
    return Step(record, actions)


def go(record: ModelRecord, way: Way, *actions: Action, **changes: Any) -> Step:
    """Go a way of the table and change the record on it.

    Raises:
        IllegalTransition: The table has no such way.
    """
    phase = TRANSITIONS[record.phase].get(way)
    if phase is None:
        raise IllegalTransition(f"model {record.model}: {way.value} while {record.phase.value}")
    if "reason" in changes:
        changes["reason"] = changes["reason"][:MOST_REASON]
    new = replace(record, phase=phase, **changes)
    if durable(new) != durable(record):
        new = replace(new, seq=record.seq + 1)
    return Step(new, actions, way.value)


def is_late(record: ModelRecord, ref: ReleaseRef) -> bool:
    """Tell whether something is said of a release on which nothing is being done any more."""
    return record.phase is Phase.IDLE or record.candidate != ref
