"""Which lanes go when memory is short: idle ones first, then where it does the least harm. Pure.

Harm, from the least to the most: a lane that holds nothing, and of those at last the
only one of a model that its next request would load again, the least recently used
first; then a model of lower priority; then the one whose other lanes would be less
busy, and of those the one with fewer late requests for each lane that it keeps; then
the one whose lane gives back more memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.scaling.demand import ModelDemand


@dataclass(frozen=True, slots=True)
class Retired:
    """Lanes of one model that go.

    Attributes:
        demand: The model's demand as it was.
        count: Lanes that go; above 0.
        unused: How many of them hold nothing.
    """

    demand: ModelDemand
    count: int
    unused: int

    @property
    def lanes(self) -> int:
        """Lanes that stay."""
        return self.demand.lanes - self.count


def harm(demand: ModelDemand) -> tuple[bool, bool, float, int, float, float, int, str]:
    """Return what retiring one more lane of a model costs, as a key to sort by; the least first."""
    left = max(1, demand.lanes - 1)
    is_last = demand.lanes == 1
    return (
        demand.unused_lanes == 0,
        is_last,
        demand.used_s if is_last else 0.0,
        demand.priority,
        round(demand.busy_with(left), 1),
        demand.deadline_misses / left,
        -(demand.cost_bytes or 0),
        demand.model,
    )


def retire(demands: Sequence[ModelDemand], needed_bytes: float, *, every_unused: bool) -> tuple[Retired, ...]:
    """Choose the lanes that go.

    Args:
        demands: Models that may lose lanes.
        needed_bytes: How much memory must come back. At least one lane goes if there is one to spare;
            a lane of unknown cost is taken to be enough, since the next samples will say.
        every_unused: True to retire every unused lane, however little is needed.
    """
    left = {demand.model: demand for demand in demands}
    gone = dict.fromkeys(left, 0)
    unused = dict.fromkeys(left, 0)
    freed, first = 0.0, True
    while True:
        open_ones = [demand for demand in left.values() if demand.spare_lanes]
        if not open_ones:
            break
        least = min(open_ones, key=harm)
        is_unused = least.unused_lanes > 0
        if not first and freed >= needed_bytes and not (every_unused and is_unused):
            break
        first = False
        gone[least.model] += 1
        unused[least.model] += is_unused
        freed = freed + least.cost_bytes if least.cost_bytes is not None else max(freed, needed_bytes)
        left[least.model] = _without_one(least)
    return tuple(
        Retired(demand, gone[demand.model], unused[demand.model]) for demand in demands if gone[demand.model]
    )


def _without_one(demand: ModelDemand) -> ModelDemand:
    if demand.starting:
        return replace(demand, starting=demand.starting - 1)
    fewer = demand.ready - 1
    return replace(demand, ready=fewer, idle=max(0, demand.idle - 1), busy=demand.busy_with(fewer))
