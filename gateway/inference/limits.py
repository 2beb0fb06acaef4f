"""Bounds of one serving model: its queue, its batches, its workers."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.inference.batching import BatchLimits
from gateway.operations.restart import RestartLimits


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Patience with workers.

    Attributes:
        run_timeout_s: A batch that runs longer hangs.
        load_timeout_s: Longest load.
        restart: Pacing of replacements.
        niceness: Nice value of workers while they serve, above our own.
    """

    run_timeout_s: float
    load_timeout_s: float
    restart: RestartLimits
    niceness: int = 0


@dataclass(frozen=True, slots=True)
class SchedulerLimits:
    """Bounds of one model.

    Attributes:
        batch: Its queue and batches.
        pool: Patience with its workers.
        quarantined_payloads: Hashes of crashing payloads remembered.
    """

    batch: BatchLimits
    pool: PoolLimits
    quarantined_payloads: int = 256
