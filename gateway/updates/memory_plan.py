"""Whether an old and a new version fit into memory side by side for the time of a switch. Pure.

Rules (each a property in ``tests/updates/test_memory_plan.py``):

1. A switch is hot only if all lanes of the new version fit beside what runs and the reserve stays free.
2. More memory never turns a hot switch cold; more or dearer lanes or more reserve never a cold one hot.
3. What was not measured is not guessed: the switch is hot, as a reload of the configuration is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hot:
    """The new version starts while the old one serves.

    Attributes:
        needed_bytes: What it is expected to take, the reserve not included; 0 if that was not measured.
    """

    needed_bytes: int


@dataclass(frozen=True, slots=True)
class Cold:
    """The old version ends before the new one starts.

    Attributes:
        reason: Why, with numbers.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class LaneCost:
    """What was measured in the validation child.

    Attributes:
        private_bytes: Memory that each lane has for itself; 0 if it was not measured.
        shared_bytes: Mapped once for all lanes: the model's files.
    """

    private_bytes: int
    shared_bytes: int = 0


def plan(available_bytes: int | None, reserve_bytes: int, cost: LaneCost, lanes: int) -> Hot | Cold:
    """Say how to switch.

    Args:
        available_bytes: Memory that can still be used without swapping; None if that is unknown.
        reserve_bytes: Memory that must stay free.
        cost: What a lane of the new version takes.
        lanes: How many of them will start.
    """
    if available_bytes is None or cost.private_bytes <= 0:
        return Hot(0)
    needed_bytes = cost.shared_bytes + cost.private_bytes * lanes
    if needed_bytes + reserve_bytes <= available_bytes:
        return Hot(needed_bytes)
    return Cold(
        f"{_mebibytes(needed_bytes)} MiB for {lanes} lanes and {_mebibytes(reserve_bytes)} MiB of reserve "
        f"are needed, {available_bytes >> 20} MiB are available"
    )


def _mebibytes(count_bytes: int) -> int:
    return math.ceil(count_bytes / (1 << 20))
