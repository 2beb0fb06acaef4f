"""The scaling policy of one memory: the board's, or that of a GPU which has its own. Pure.

``step`` is given a moment and the demand of every model whose lanes take this
memory, and returns what to do; ``gateway.scaling.policy`` feeds one of these for
each device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.scaling.decisions import Action, Decision, Reason, mebibytes
from gateway.scaling.demand import ModelDemand, needs_all, said, wants_more
from gateway.scaling.growing import FOR_MEMORY, Ground, obstacle
from gateway.scaling.pausing import Pausing, levels
from gateway.scaling.regret import Regret
from gateway.scaling.rules import Rules
from gateway.scaling.sample import DeviceMemory, Source
from gateway.scaling.shrinking import Retired, retire
from gateway.scaling.streaks import ModelMemory, Streak


@dataclass(frozen=True, slots=True)
class Emergency:
    """Memory has run out, or is about to.

    Attributes:
        text: What says so, with numbers.
        easing: Whether it was acted upon before and gets better: nothing more is done about it.
    """

    text: str
    easing: bool = False


@dataclass(frozen=True, slots=True)
class Moment:
    """What one sample says that matters to one device.

    Attributes:
        at_s: When, monotonic seconds.
        in_a_row: Whether the last sample was not too long ago.
        memory: Of the device; None if nothing tells of it.
        host: Of the board; None if nothing tells of it.
        processors_busy: Busy share of the processors; None if unknown.
        emergency: What is amiss; None if nothing is.
    """

    at_s: float
    in_a_row: bool
    memory: DeviceMemory | None
    host: DeviceMemory | None
    processors_busy: float | None
    emergency: Emergency | None = None


class DevicePolicy:
    """Streaks, cool-downs and what is paused, of one device."""

    def __init__(self, device: str, rules: Rules) -> None:
        self.device = device
        self.rules = rules
        self.above = Streak()
        self.calm = Streak()
        self.quiet = Streak()
        self.pausing = Pausing()
        self.regret = Regret(rules.cooldown_s)
        self.models: dict[str, ModelMemory] = {}
        self.source: Source | None = None
        self.emergency_until_s: float | None = None
        self.settles_until_s: float | None = None
        self._relieved_s: float | None = None

    def step(self, moment: Moment, demands: Sequence[ModelDemand]) -> tuple[Decision, ...]:
        """Return what to do now: one decision for each model, and what to pause or resume."""
        self._note(moment, demands)
        emergency = moment.emergency
        if emergency is not None:
            self._bar(moment.at_s)
            if not emergency.easing and not self._just_relieved(moment.at_s):
                return self._relieve(moment, demands, Reason.EMERGENCY, emergency.text)
        elif self.above.count >= self.rules.samples and moment.memory is not None:
            text = (
                f"{moment.memory.used_ratio:.1%} of {self.device} memory was in use, above "
                f"{self.rules.high_mark:.0%} for {self.above.count} samples in a row"
            )
            # What only an emergency may pause does not wait for memory to fall below the mark.
            resumed = self._resume(moment, demands)
            return (*resumed, *self._relieve(moment, demands, Reason.ABOVE_MARK, text))
        return (*self._resume(moment, demands), *self._tend(moment, demands))

    def alarm(self, moment: Moment, demands: Sequence[ModelDemand]) -> tuple[Decision, ...]:
        """Act on an emergency between two samples; the streaks of memory below the mark end."""
        assert moment.emergency is not None
        self._remember(demands)
        self._bar(moment.at_s)
        self.calm.reset()
        self.quiet.reset()
        if self._just_relieved(moment.at_s):
            return ()
        return self._relieve(moment, demands, Reason.EMERGENCY, moment.emergency.text)

    def begin_anew(self) -> None:
        """Forget what must have lasted: samples are missing, or come from elsewhere."""
        for streak in (self.above, self.calm, self.quiet):
            streak.reset()
        for known in self.models.values():
            known.begin_anew()

    def _note(self, moment: Moment, demands: Sequence[ModelDemand]) -> None:
        self._remember(demands)
        source = None if moment.memory is None else moment.memory.source
        if source is not self.source:
            self.regret.forget()
        if not moment.in_a_row or source is not self.source:
            self.begin_anew()
        self.source = source
        used = None if moment.memory is None else moment.memory.used_ratio
        quiet = moment.emergency is None
        self.above.note(holds=used is not None and used > self.rules.high_mark)
        self.calm.note(holds=quiet and (used is None or used <= self.rules.resume_below))
        self.quiet.note(holds=quiet)
        for demand in demands:
            known = self.models[demand.model]
            known.demand.note(holds=wants_more(demand, self.rules))
            known.note_need(moment.at_s, needed=needs_all(demand, self.rules))

    def _remember(self, demands: Sequence[ModelDemand]) -> None:
        self.models = {demand.model: self.models.get(demand.model) or ModelMemory() for demand in demands}

    def _bar(self, at_s: float) -> None:
        self.emergency_until_s = at_s + self.rules.emergency_cooldown_s

    def _just_relieved(self, at_s: float) -> bool:
        """Say whether an emergency was acted upon a moment ago: many signs of one shortage come together."""
        return self._relieved_s is not None and at_s - self._relieved_s < self.rules.early_s

    def _settle(self, at_s: float) -> None:
        self.settles_until_s = at_s + self.rules.cooldown_s

    # Less

    def _relieve(
        self, moment: Moment, demands: Sequence[ModelDemand], reason: Reason, text: str
    ) -> tuple[Decision, ...]:
        """Give memory back: lanes, and once every model is at its least, admission."""
        urgent = reason is Reason.EMERGENCY
        memory = moment.memory
        excess = 0.0 if memory is None else (memory.used_ratio - self.rules.grow_below) * memory.total_bytes
        free = demands if urgent else [demand for demand in demands if not self._cools(demand, moment.at_s)]
        gone = {each.demand.model: each for each in retire(free, excess, every_unused=urgent)}
        decisions: list[Decision] = []
        if gone:
            self.regret.gave_back(moment.at_s)
        elif all(demand.spare_lanes == 0 for demand in demands):
            decisions += self._pause(moment, demands, reason, text)
        if gone or decisions:
            self.above.reset()
            self._settle(moment.at_s)
        if urgent:
            self._relieved_s = moment.at_s
        for demand in demands:
            if demand.model in gone:
                decisions.append(self._retired(gone[demand.model], moment.at_s, reason, text))
            else:
                keeps = f"it keeps its {demand.lanes} lanes, least is {demand.min_lanes}"
                decisions.append(self._hold(demand, reason, f"{text}: {keeps}"))
        return tuple(decisions)

    def _retired(self, gone: Retired, at_s: float, reason: Reason, text: str) -> Decision:
        demand = gone.demand
        self._changed(demand.model, at_s)
        cost = demand.cost_bytes
        back = "an unknown amount" if cost is None else f"about {mebibytes(cost * gone.count)}"
        what = f"{gone.count} of {demand.lanes} lanes go, {gone.unused} of them unused, and give {back} back"
        wanted = wants_more(demand, self.rules)
        return self._lanes(Action.SHRINK, reason, f"{text}: {what}", demand, gone.lanes, wanted=wanted)

    def _pause(
        self, moment: Moment, demands: Sequence[ModelDemand], reason: Reason, text: str
    ) -> tuple[Decision, ...]:
        known = levels(demands)
        priority = self.pausing.next_to_pause(known, highest_too=reason is Reason.EMERGENCY)
        if priority is None:
            return ()
        self.pausing.pause(priority, moment.at_s)
        self.calm.reset()
        self.quiet.reset()
        text = f"{text}, and no model has a lane to spare: streams of priority {priority} wait"
        return (Decision(Action.PAUSE, reason, text, self.device, priority=priority),)

    # Back again, and more

    def _resume(self, moment: Moment, demands: Sequence[ModelDemand]) -> tuple[Decision, ...]:
        pausing, rules = self.pausing, self.rules
        if pausing.through is None:
            return ()
        known = levels(demands)
        # The mark alone does not pause the highest priority, so it does not keep it paused either.
        highest = bool(known) and not pausing.admits(known[-1])
        lasted = (self.quiet if highest else self.calm).count
        changed_s = pausing.changed_s
        if lasted < rules.samples or (changed_s is not None and moment.at_s - changed_s < rules.cooldown_s):
            return ()
        priority = pausing.resume(known, moment.at_s)
        self._settle(moment.at_s)
        if priority is None:
            return ()
        used = "an unknown share" if moment.memory is None else f"{moment.memory.used_ratio:.1%}"
        text = (
            f"{used} of {self.device} memory is in use and there is no emergency, for {lasted} samples in "
            f"a row: streams of priority {priority} are admitted again"
        )
        return (Decision(Action.RESUME, Reason.CALM, text, self.device, priority=priority),)

    def _tend(self, moment: Moment, demands: Sequence[ModelDemand]) -> tuple[Decision, ...]:
        """Retire what is not needed, and let at most one model grow."""
        at_s = moment.at_s
        fewer = {demand.model: self._spared(demand, at_s) for demand in demands}
        ground = Ground(
            at_s=at_s,
            memory=moment.memory,
            host=moment.host,
            processors_busy=moment.processors_busy,
            paused=self.pausing.through is not None,
            regret=self.regret,
            emergency_until_s=self.emergency_until_s,
            settles_until_s=self.settles_until_s,
            demands=demands,
        )
        decided: dict[str, Decision] = {}
        grown = ""
        waits_at: int | None = None
        for demand in sorted(demands, key=_most_wanted_first):
            less = fewer[demand.model]
            if less is not None:
                decided[demand.model] = less
                continue
            decision = self._wish(demand, ground, grown, waits_at)
            decided[demand.model] = decision
            if decision.action is Action.GROW:
                grown = demand.model
            elif decision.reason in FOR_MEMORY and waits_at is None:
                waits_at = demand.priority
        return tuple(decided[demand.model] for demand in demands)

    def _spared(self, demand: ModelDemand, at_s: float) -> Decision | None:
        """Retire a lane that nobody needs, or that is one too many."""
        if self._cools(demand, at_s) or not demand.spare_lanes:
            return None
        if demand.lanes > demand.most_lanes:
            text = f"it has {demand.lanes} lanes and may have {demand.most_lanes}"
            self._changed(demand.model, at_s)
            return self._lanes(Action.SHRINK, Reason.OVER_MAX, text, demand, demand.most_lanes)
        unneeded_s = self.models[demand.model].unneeded_s(at_s)
        if demand.lanes <= demand.configured or demand.starting or unneeded_s < self.rules.idle_s:
            return None
        fewer = demand.busy_with(demand.ready - 1)
        text = (
            f"{said(demand)}: for {unneeded_s:.0f} s one of {demand.lanes} lanes was not needed, "
            f"the others would be {fewer:.0%} busy; {demand.configured} are configured"
        )
        self._changed(demand.model, at_s)
        return self._lanes(Action.SHRINK, Reason.IDLE, text, demand, demand.lanes - 1)

    def _wish(self, demand: ModelDemand, ground: Ground, grown: str, waits_at: int | None) -> Decision:
        known = self.models[demand.model]
        lasted = known.demand.count
        if not lasted:
            return self._hold(demand, Reason.ENOUGH, said(demand))
        found = obstacle(demand, known, ground, self.rules)
        if found is None and lasted < self.rules.samples:
            found = Reason.YOUNG_DEMAND, f"for {lasted} of {self.rules.samples} samples in a row"
        if found is None and waits_at is not None and waits_at > demand.priority:
            found = Reason.OUTRANKED, f"a model of priority {waits_at} waits for memory"
        if found is None and grown:
            found = Reason.STARTING, f"{grown} gets a lane first"
        if found is not None:
            return self._hold(demand, found[0], f"{said(demand)}, but {found[1]}")
        memory, cost = ground.memory, demand.cost_bytes
        assert memory is not None
        assert cost is not None
        self.regret.grew(ground.at_s, memory.available_bytes, self.rules.margin * cost)
        self._changed(demand.model, ground.at_s)
        self.settles_until_s = ground.at_s + self.rules.samples * self.rules.interval_s
        text = (
            f"{said(demand)} for {lasted} samples in a row; a lane costs {mebibytes(cost)} and "
            f"{mebibytes(memory.available_bytes)} of {self.device} memory are available"
        )
        return self._lanes(Action.GROW, Reason.DEMAND, text, demand, demand.lanes + 1)

    def _cools(self, demand: ModelDemand, at_s: float) -> bool:
        return self.models[demand.model].cools_down_s(at_s, self.rules.cooldown_s) > 0

    def _changed(self, model: str, at_s: float) -> None:
        known = self.models[model]
        known.changed_s = at_s
        known.begin_anew()

    def _hold(self, demand: ModelDemand, reason: Reason, text: str) -> Decision:
        wanted = wants_more(demand, self.rules)
        return self._lanes(Action.HOLD, reason, text, demand, demand.lanes, wanted=wanted)

    def _lanes(
        self,
        action: Action,
        reason: Reason,
        text: str,
        demand: ModelDemand,
        lanes: int,
        *,
        wanted: bool = False,
    ) -> Decision:
        return Decision(action, reason, text, self.device, demand.model, lanes, wanted=wanted)


def _most_wanted_first(demand: ModelDemand) -> tuple[int, int, float, float, str]:
    return (-demand.priority, -demand.deadline_misses, -demand.busy, -demand.oldest_wait_s, demand.model)
