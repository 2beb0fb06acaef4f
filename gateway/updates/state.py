"""Where one model's rollout is: the record that survives a power cut. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from gateway.updates.release import ReleaseRef


class Phase(enum.Enum):
    """Where a rollout is. Only those in ``DURABLE`` are ever read back after a restart."""

    IDLE = "idle"
    FETCHING = "fetching"
    STAGED = "staged"
    VALIDATING = "validating"
    READY = "ready"
    SHADOWING = "shadowing"
    BAKING = "baking"


DURABLE = frozenset({Phase.IDLE, Phase.VALIDATING, Phase.READY, Phase.BAKING})


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """What is known of one model's releases on this board: the commit point of every change.

    Attributes:
        model: Its name.
        seq: Rises by one with every write; a write that does not follow the one it read is refused.
        phase: Where the rollout is.
        active: What serves; None for the folder that the configuration names (the factory model).
        previous: What served before and is kept for going back; None for the factory model.
        candidate: What is on its way; in ``BAKING`` it is the same as ``active``.
        floor: Greatest release counter ever committed here; it never falls.
        boots: Starts of the process during ``VALIDATING`` or ``BAKING``, counted before the model is loaded.
        baked_s: Seconds of watched service so far; not a clock, so that a wrong clock changes nothing.
        baked_requests: Requests answered in that time.
        attempts: Failed tries of the candidate in a row.
        retry_unix_s: Earliest time of the next try; 0 for at once.
        code: Label of the last failure; empty if there was none.
        reason: The same in words.
        since_unix_s: When ``active`` began to serve.
    """

    model: str
    seq: int = 0
    phase: Phase = Phase.IDLE
    active: ReleaseRef | None = None
    previous: ReleaseRef | None = None
    candidate: ReleaseRef | None = None
    floor: int = 0
    boots: int = 0
    baked_s: float = 0.0
    baked_requests: int = 0
    attempts: int = 0
    retry_unix_s: int = 0
    code: str = ""
    reason: str = ""
    since_unix_s: int = 0
