"""Runs a policy on a reckoned board for hours in seconds, and judges it: OOM, flapping, use of the budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from gateway.scaling.decisions import Action, Decision, Reason
from gateway.scaling.demand import ModelDemand, wants_more
from gateway.scaling.policy import Alarm, AlarmKind
from gateway.scaling.rules import Rules
from gateway.scaling.sample import Sample
from gateway.scaling.scale_out import ScaleOut
from tests.scaling.board import ReckonedBoard
from tests.scaling.traces import Trace

# Lanes that were added and had to go again within the time after which they count as having stayed.
TAKEN_BACK_S: Final = 300.0
MOST_TAKEN_BACK_AN_HOUR: Final = 6.0
# Time in which a policy that adds a lane at a time can be expected to have seen to a wish.
_LASTING_S: Final = 60.0
_FOR_MEMORY: Final = (Reason.ABOVE_MARK, Reason.EMERGENCY)


class Decider(Protocol):
    """The policy, or one that is broken on purpose."""

    def decide(self, sample: Sample, demands: Sequence[ModelDemand]) -> tuple[Decision, ...]:
        """Return what to do."""
        ...

    def alarm(self, alarm: Alarm, demands: Sequence[ModelDemand]) -> tuple[Decision, ...]:
        """Return what to do at once."""
        ...

    def admits(self, priority: int) -> bool:
        """Say whether frames are taken."""
        ...


@dataclass(frozen=True, slots=True)
class Change:
    """A model's lanes changed."""

    at_s: float
    model: str
    before: int
    after: int
    reason: Reason


@dataclass(slots=True)
class Report:
    """What came of it.

    Attributes:
        trace: On what.
        killed: When the kernel killed which model's lane.
        flaps: What was done and undone within a cool-down, in words.
        taken_back: Lanes that were added and had to go again soon for want of memory.
        changes: All changes of lanes.
        decisions: What was decided besides holding, with the time.
        used: Share of memory in use, each second.
        lanes: Lanes of each model, each second.
        wished: Samples at which a lane more had been wanted for a minute, and number and processors allow it.
        budget_used: Share of the memory below the mark for further lanes that they had at those samples.
        full: Share of those samples at which no wanted lane would have stayed below the mark.
        served: Share of the rows that were answered in time.
        scale_out_s: Seconds for which more replicas were wanted.
        paused_s: Seconds in which some streams waited.
    """

    trace: Trace
    killed: list[tuple[float, str]] = field(default_factory=list)
    flaps: list[str] = field(default_factory=list)
    taken_back: int = 0
    changes: list[Change] = field(default_factory=list)
    decisions: list[tuple[float, Decision]] = field(default_factory=list)
    used: list[float] = field(default_factory=list)
    lanes: dict[str, list[int]] = field(default_factory=dict)
    wished: int = 0
    budget_used: float = 1.0
    full: float = 1.0
    served: float = 0.0
    scale_out_s: int = 0
    paused_s: int = 0

    @property
    def passed(self) -> bool:
        """Whether nothing was killed and nothing flapped."""
        hours = self.trace.seconds / 3600
        return not self.killed and not self.flaps and self.taken_back <= MOST_TAKEN_BACK_AN_HOUR * hours


def soak(trace: Trace, policy: Decider, rules: Rules, seed: int = 0) -> Report:
    """Run a policy over a trace.

    Args:
        trace: The board and what happens on it.
        policy: Who decides.
        rules: By which the run is judged; the policy may have others.
        seed: For what is measured inexactly.
    """
    board, report = (
        ReckonedBoard(trace, seed),
        Report(trace, lanes={model.name: [] for model in trace.models}),
    )
    out = ScaleOut(rules)
    shares: list[tuple[float, bool]] = []
    lasting: dict[str, int] = {}
    while board.at_s < trace.seconds:
        admits = {model.name: policy.admits(model.priority) for model in trace.models}
        report.paused_s += not all(admits.values())
        killed = board.step(admits)
        if killed is not None:
            alarm = Alarm(AlarmKind.LANE_KILLED, board.at_s, model=killed)
            _carry_out(board, report, policy.alarm(alarm, board.demands(begin=False)))
        number, rest = divmod(board.at_s, rules.interval_s)
        if rest == 0 and number not in trace.missed:
            sample, demands = board.sample(), board.demands()
            decisions = policy.decide(sample, demands)
            out.note(sample.at_s, demands, decisions)
            _carry_out(board, report, decisions)
            shares += _share(board, demands, rules, lasting)
        report.scale_out_s += out.wanted
        report.used.append(board.used_bytes / trace.total_bytes)
        for name, served in board.models.items():
            report.lanes[name].append(len(served.lanes))
    report.killed = board.killed
    report.wished = len(shares)
    if shares:
        report.budget_used = sum(share for share, _ in shares) / len(shares)
        report.full = sum(full for _, full in shares) / len(shares)
    asked = sum(served.asked for served in board.models.values())
    report.served = sum(served.answered for served in board.models.values()) / asked
    _judge(report, rules)
    return report


def _carry_out(board: ReckonedBoard, report: Report, decisions: Sequence[Decision]) -> None:
    for decision in decisions:
        if decision.action is not Action.HOLD:
            report.decisions.append((board.at_s, decision))
        if decision.action in (Action.GROW, Action.SHRINK):
            before = len(board.models[decision.model].lanes)
            report.changes.append(Change(board.at_s, decision.model, before, decision.lanes, decision.reason))
            board.resize(decision.model, decision.lanes)


def _share(
    board: ReckonedBoard, demands: Sequence[ModelDemand], rules: Rules, lasting: dict[str, int]
) -> list[tuple[float, bool]]:
    """Return how much of what further lanes may take they do take, and whether not one more would fit.

    Empty where no wish has lasted.
    """
    for demand in demands:
        wish = wants_more(demand, rules) and demand.lanes < demand.most_lanes
        full = demand.on_processors and board.processors_busy >= rules.full_processors
        lasting[demand.model] = lasting.get(demand.model, 0) + 1 if wish and not full else 0
    wishing = [model for model, count in lasting.items() if count * rules.interval_s >= _LASTING_S]
    further = sum(lane.taken(board.at_s) for served in board.models.values() for lane in served.lanes[1:])
    room = rules.high_mark * board.trace.total_bytes - board.used_bytes
    if not wishing or further + room <= 0:
        return []
    fits = any(board.models[model].model.lane_bytes <= room for model in wishing)
    return [(min(1.0, further / (further + max(0.0, room))), not fits)]


def _judge(report: Report, rules: Rules) -> None:
    """Find what was done and undone too soon."""
    last: dict[str, Change] = {}
    grown: dict[str, float] = {}
    lost_s: float | None = None
    for change in report.changes:
        grows = change.after > change.before
        before = last.get(change.model)
        if grows and change.after != change.before + 1:
            report.flaps.append(f"{change.at_s:.0f} s: {change.model} grew by more than one lane")
        if before is not None and (before.after > before.before) is not grows:
            urgent = change.reason is Reason.EMERGENCY
            if not urgent and change.at_s - before.at_s < rules.cooldown_s:
                report.flaps.append(f"{change.at_s:.0f} s: {change.model} after {before.at_s:.0f} s")
        if grows and lost_s is not None and change.at_s - lost_s < rules.cooldown_s:
            report.flaps.append(f"{change.at_s:.0f} s: {change.model} grew soon after memory was short")
        if change.reason in _FOR_MEMORY:
            lost_s = change.at_s
            grown_s = grown.pop(change.model, None)
            report.taken_back += grown_s is not None and change.at_s - grown_s < TAKEN_BACK_S
        if grows:
            grown[change.model] = change.at_s
        last[change.model] = change
