"""What the scaling policy can say: an action, a reason word from a closed list, and the numbers behind it."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Action(enum.Enum):
    """What is to be done."""

    GROW = "grow"
    SHRINK = "shrink"
    HOLD = "hold"
    PAUSE = "pause"
    RESUME = "resume"


class Reason(enum.Enum):
    """Why; docs/scaling.md has them all in a table."""

    # grow
    DEMAND = "demand"
    # shrink
    ABOVE_MARK = "above_mark"
    EMERGENCY = "emergency"
    IDLE = "idle"
    OVER_MAX = "over_max"
    # resume
    CALM = "calm"
    # hold
    ENOUGH = "enough"
    YOUNG_DEMAND = "young_demand"
    AT_MAX = "at_max"
    NO_MEMORY = "no_memory"
    NEAR_MARK = "near_mark"
    MEMORY_UNKNOWN = "memory_unknown"
    COST_UNKNOWN = "cost_unknown"
    PROCESSORS_FULL = "processors_full"
    PAUSED = "paused"
    GIVEN_BACK = "given_back"
    STARTING = "starting"
    BUILDING = "building"
    COOLING_DOWN = "cooling_down"
    AFTER_EMERGENCY = "after_emergency"
    OUTRANKED = "outranked"


# What stands between a model and another lane here, and would not in another replica.
LASTING = frozenset(
    {
        Reason.ABOVE_MARK,
        Reason.EMERGENCY,
        Reason.AFTER_EMERGENCY,
        Reason.AT_MAX,
        Reason.NO_MEMORY,
        Reason.NEAR_MARK,
        Reason.PROCESSORS_FULL,
        Reason.PAUSED,
        Reason.GIVEN_BACK,
    }
)


@dataclass(frozen=True, slots=True)
class Decision:
    """One thing to do, or why nothing is done.

    Attributes:
        action: What.
        reason: Why, from the closed list.
        text: Why, in words, with the numbers; for the log and ``/status``.
        device: Whose memory it is about.
        model: Whose lanes; empty where admission is paused or resumed.
        lanes: Lanes that the model has from now on; 0 for admission.
        priority: Streams of this priority are paused or resumed; None for lanes.
        wanted: Whether the model would have use for a lane more than it has.
    """

    action: Action
    reason: Reason
    text: str
    device: str
    model: str = ""
    lanes: int = 0
    priority: int | None = None
    wanted: bool = False


def mebibytes(count_bytes: float) -> str:
    """Return bytes as whole MiB, for reasons."""
    return f"{count_bytes / (1 << 20):.0f} MiB"
