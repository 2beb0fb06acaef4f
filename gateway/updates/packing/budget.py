"""What a release may cost on a board, from what it cost where it was packed. Pure."""

from __future__ import annotations

import math
from typing import Final

from gateway.updates.release import Budgets

# Boards are slower than the machines on which models are packed: on one core, a Jetson Nano takes about
# five times as long as a laptop. What is left is for a board that is busy.
LOAD_FACTOR: Final = 8.0
LOAD_SPARE_S: Final = 2.0
P99_FACTOR: Final = 8.0
P99_SPARE_MS: Final = 5.0
# Memory differs between runtimes and processors, but not by much.
MEMORY_FACTOR: Final = 1.5
MEMORY_SPARE_BYTES: Final = 16 << 20


def budgets(load_s: float, p99_ms: float, memory_bytes: int) -> Budgets:
    """Return bounds with head-room: times by ``*_FACTOR`` and a little more, rounded up.

    Args:
        load_s: Seconds to load and warm up, as measured.
        p99_ms: Milliseconds of one inference at p99, as measured.
        memory_bytes: Private memory of one lane, as measured.
    """
    return Budgets(
        load_s=math.ceil((load_s * LOAD_FACTOR + LOAD_SPARE_S) * 10) / 10,
        p99_ms=float(math.ceil(p99_ms * P99_FACTOR + P99_SPARE_MS)),
        memory_bytes=math.ceil(memory_bytes * MEMORY_FACTOR) + MEMORY_SPARE_BYTES,
    )
