"""What is wanted of one model at one sample, and whether that is more or fewer lanes than it has. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.scaling.rules import Rules
from gateway.scaling.sample import HOST


@dataclass(frozen=True, slots=True)
class ModelDemand:
    """One serving model between the last sample and this one.

    Attributes:
        model: Its name.
        device: Whose memory its lanes take: ``host``, or ``gpu0`` ... where that has its own.
        ready: Lanes that take batches.
        starting: Lanes that are wanted and not ready yet, those that wait to be replaced included.
        configured: Lanes that it starts with.
        max_lanes: Lanes at most; never counted as fewer than ``min_lanes``.
        min_lanes: Lanes at least, whatever memory says; 0 for a model that its next request would load again.
        idle: Ready lanes that hold no batch now.
        busy: Share of the time that its ready lanes spent on batches, 0 to 1.
        oldest_wait_s: Age of the oldest request that waits for a lane; 0 if none waits.
        queued_rows: Rows that wait for a lane.
        deadline_misses: Requests that expired since the last sample.
        priorities: Priorities of the streams that it serves, each once; empty if it serves none.
        lane_cost_bytes: What another lane was measured to take of the device's memory; None if unknown.
        cost_bound_bytes: Bound while the cost is unknown (what the proof took); None if there is none.
        exclusive: Whether an engine is being built for it.
        on_processors: Whether its lanes compute on the processors, and not on a GPU.
        used_s: When it was last asked, monotonic seconds; told where ``min_lanes`` is 0.
    """

    model: str
    device: str = HOST
    ready: int = 1
    starting: int = 0
    configured: int = 1
    max_lanes: int = 1
    min_lanes: int = 1
    idle: int = 0
    busy: float = 0.0
    oldest_wait_s: float = 0.0
    queued_rows: int = 0
    deadline_misses: int = 0
    priorities: tuple[int, ...] = (0,)
    lane_cost_bytes: int | None = None
    cost_bound_bytes: int | None = None
    exclusive: bool = False
    on_processors: bool = True
    used_s: float = 0.0

    @property
    def lanes(self) -> int:
        """Lanes that it has or is getting."""
        return self.ready + self.starting

    @property
    def most_lanes(self) -> int:
        """Lanes at most."""
        return max(self.max_lanes, self.min_lanes)

    @property
    def spare_lanes(self) -> int:
        """Lanes above the least number."""
        return max(0, self.lanes - self.min_lanes)

    @property
    def unused_lanes(self) -> int:
        """Spare lanes that hold nothing: idle ones and those that still start."""
        return min(self.spare_lanes, self.idle + self.starting)

    @property
    def priority(self) -> int:
        """The highest priority of its streams."""
        return max(self.priorities, default=0)

    @property
    def cost_bytes(self) -> int | None:
        """What another lane is taken to cost; None if unknown. What is not positive was not measured."""
        for known in (self.lane_cost_bytes, self.cost_bound_bytes):
            if known is not None and known > 0:
                return known
        return None

    def busy_with(self, lanes: int) -> float:
        """Return the busy share if the same work were done by ``lanes`` lanes; may exceed 1."""
        return self.busy * self.ready / max(1, lanes)


def is_late(demand: ModelDemand, rules: Rules) -> bool:
    """Return whether requests come too late, or are about to."""
    return demand.deadline_misses > 0 or demand.oldest_wait_s > rules.old_queue_s


def wants_more(demand: ModelDemand, rules: Rules) -> bool:
    """Return whether another lane would be of use."""
    least_busy = rules.late_busy_mark if is_late(demand, rules) else rules.busy_mark
    return demand.busy >= least_busy


def needs_all(demand: ModelDemand, rules: Rules) -> bool:
    """Return whether one lane fewer would be too few."""
    if demand.ready < 2 or is_late(demand, rules):
        return True
    return demand.busy_with(demand.ready - 1) >= rules.spare_mark


def said(demand: ModelDemand) -> str:
    """Return the demand in words, for a reason."""
    parts = [f"lanes {demand.busy:.0%} busy"]
    if demand.queued_rows or demand.oldest_wait_s:
        parts.append(f"{demand.queued_rows} rows wait, the oldest for {demand.oldest_wait_s:.2f} s")
    if demand.deadline_misses:
        parts.append(f"{demand.deadline_misses} requests too late")
    return ", ".join(parts)
