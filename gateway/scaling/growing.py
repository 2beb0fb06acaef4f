"""What stands between a model and another lane; nothing, if memory, processors and time allow it. Pure.

What another replica of the gateway would not suffer from comes first: so a wish
for one is told by the reason, and is not hidden by what will pass by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.scaling.decisions import Reason, mebibytes
from gateway.scaling.demand import ModelDemand
from gateway.scaling.regret import Regret
from gateway.scaling.rules import Rules
from gateway.scaling.sample import DeviceMemory
from gateway.scaling.streaks import ModelMemory

Obstacle = tuple[Reason, str]

# No lane for whoever has less of a priority than one that waits for memory.
FOR_MEMORY = frozenset({Reason.NO_MEMORY, Reason.NEAR_MARK, Reason.GIVEN_BACK})


@dataclass(frozen=True, slots=True)
class Ground:
    """What a device has to offer at one sample.

    Attributes:
        at_s: When.
        memory: Of the device; None if nothing tells of it.
        host: Of the board, which every lane takes some of; None if nothing tells of it.
        processors_busy: Busy share of the processors; None if unknown.
        paused: Whether admission of any stream is paused.
        regret: What the last lanes taught.
        emergency_until_s: No lane before then, after an emergency; None for no such time.
        settles_until_s: No lane before then, after another change on the device; None for no such time.
        demands: All models of the device.
    """

    at_s: float
    memory: DeviceMemory | None
    host: DeviceMemory | None
    processors_busy: float | None
    paused: bool
    regret: Regret
    emergency_until_s: float | None
    settles_until_s: float | None
    demands: Sequence[ModelDemand]


def obstacle(demand: ModelDemand, known: ModelMemory, ground: Ground, rules: Rules) -> Obstacle | None:
    """Return why the model gets no other lane now, with numbers; None if it may have one."""
    checks: tuple[Callable[[], Obstacle | None], ...] = (
        lambda: _by_number(demand),
        lambda: _by_mark(ground, rules),
        lambda: _by_memory(demand, ground, rules),
        lambda: _by_processors(demand, ground, rules),
        lambda: _by_emergency(ground),
        lambda: _by_neighbours(ground),
        lambda: _by_time(known, ground, rules),
    )
    for check in checks:
        found = check()
        if found is not None:
            return found
    return None


def _by_number(demand: ModelDemand) -> Obstacle | None:
    if demand.lanes >= demand.most_lanes:
        return Reason.AT_MAX, f"it has {demand.lanes} of {demand.most_lanes} lanes at most"
    return None


def _by_mark(ground: Ground, rules: Rules) -> Obstacle | None:
    for memory in (ground.memory, ground.host):
        if memory is not None and memory.used_ratio > rules.high_mark:
            used, mark = f"{memory.used_ratio:.1%}", f"{rules.high_mark:.0%}"
            return Reason.ABOVE_MARK, f"{used} of {memory.device} memory is in use, the mark is {mark}"
    if ground.paused:
        return Reason.PAUSED, "admission is paused for want of memory"
    return None


def _by_memory(demand: ModelDemand, ground: Ground, rules: Rules) -> Obstacle | None:
    memory, cost = ground.memory, demand.cost_bytes
    if memory is None:
        return Reason.MEMORY_UNKNOWN, f"nothing tells how much {demand.device} memory there is"
    if cost is None:
        return Reason.COST_UNKNOWN, "what a lane costs is neither measured nor bounded"
    needed = rules.margin * cost
    left = memory.available_bytes - rules.reserve_bytes
    numbers = f"a lane costs {mebibytes(cost)}, {mebibytes(memory.available_bytes)} are available"
    if left < needed:
        return Reason.NO_MEMORY, (
            f"{numbers}: {mebibytes(left)} after the reserve, less than {rules.margin:g} times the cost"
        )
    after = 1.0 - (memory.available_bytes - needed) / memory.total_bytes
    if after > rules.grow_below:
        return Reason.NEAR_MARK, (
            f"{numbers}: {after:.1%} would be in use, {rules.grow_below:.0%} is the most for a new lane"
        )
    forbidden = ground.regret.forbids(ground.at_s, memory.available_bytes)
    if forbidden is not None:
        wanted_bytes, still_s = forbidden
        return Reason.GIVEN_BACK, (
            f"the last lane had to go again: not for {still_s:.0f} s, or until {mebibytes(wanted_bytes)} are "
            f"available instead of {mebibytes(memory.available_bytes)}"
        )
    return None


def _by_processors(demand: ModelDemand, ground: Ground, rules: Rules) -> Obstacle | None:
    busy = ground.processors_busy
    if demand.on_processors and busy is not None and busy >= rules.full_processors:
        return (
            Reason.PROCESSORS_FULL,
            f"the processors are {busy:.0%} busy: another lane would only share them",
        )
    return None


def _by_emergency(ground: Ground) -> Obstacle | None:
    until_s = ground.emergency_until_s
    if until_s is not None and ground.at_s < until_s:
        return Reason.AFTER_EMERGENCY, f"no lanes for {until_s - ground.at_s:.0f} s more after an emergency"
    return None


def _by_neighbours(ground: Ground) -> Obstacle | None:
    for other in ground.demands:
        if other.exclusive:
            return Reason.BUILDING, f"an engine is being built for {other.model}"
    for other in ground.demands:
        if other.starting:
            return Reason.STARTING, f"{other.starting} lanes of {other.model} still start"
    return None


def _by_time(known: ModelMemory, ground: Ground, rules: Rules) -> Obstacle | None:
    still_s = known.cools_down_s(ground.at_s, rules.cooldown_s)
    if ground.settles_until_s is not None:
        still_s = max(still_s, ground.settles_until_s - ground.at_s)
    if still_s > 0:
        return Reason.COOLING_DOWN, f"{still_s:.0f} s more after the last change"
    return None
