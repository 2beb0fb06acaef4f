"""The rules of the policy, held against any order of samples, gaps, sources, emergencies and demands."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.scaling.decisions import Action, Decision, Reason
from gateway.scaling.demand import ModelDemand, wants_more
from gateway.scaling.policy import Alarm, AlarmKind, Policy
from gateway.scaling.rules import Rules
from gateway.scaling.sample import HOST, BoardReading, DeviceMemory, Pressure, Sample, Source
from tests.scaling.driving import MIB, Driver, busy, memory

GPU: Final = "gpu0"
RULES: Final = Rules()
MODELS: Final = {"a": (HOST, (0,)), "b": (HOST, (0, 5)), "c": (HOST, (9,)), "g": (GPU, (5,))}
SHORT: Final = (Reason.ABOVE_MARK, Reason.EMERGENCY)

shares = st.sampled_from((0.2, 0.6, 0.79, 0.82, 0.84, 0.86, 0.9, 0.97))
one_demand = st.fixed_dictionaries(
    {
        "busy": st.sampled_from((0.0, 0.3, 0.55, 0.79, 0.8, 1.0)),
        "deadline_misses": st.sampled_from((0, 0, 0, 7)),
        "idle": st.integers(0, 4),
        "lane_cost_bytes": st.sampled_from((None, 20 * MIB, 100 * MIB, 900 * MIB)),
        "cost_bound_bytes": st.sampled_from((None, 300 * MIB)),
        "exclusive": st.sampled_from((False, False, False, True)),
    }
)


class PolicyMachine(RuleBasedStateMachine):
    """A board whose memory, demand and clock do as they like; what the policy may do is said anew here."""

    @initialize(lanes=st.lists(st.integers(1, 6), min_size=4, max_size=4))
    def start(self, lanes: list[int]) -> None:
        self.policy = Policy(RULES)
        self.at_s = 0.0
        self.models = {
            name: ModelDemand(name, device, ready=count, max_lanes=6, priorities=priorities)
            for (name, (device, priorities)), count in zip(MODELS.items(), lanes, strict=True)
        }
        self.source = Source.MEMINFO
        self.memory: dict[str, DeviceMemory] = {}
        self.sample: Sample | None = None
        self.above: Counter[str] = Counter()
        self.wanted: Counter[str] = Counter()
        self.changed_s: dict[str, float] = {}
        self.short_s: dict[str, float] = {}
        self.emergency_s: dict[str, float] = {}
        self.paused: dict[str, list[int]] = {HOST: [], GPU: []}

    def _begin_anew(self) -> None:
        self.above.clear()
        self.wanted.clear()

    @rule(name=st.sampled_from([*MODELS]), values=one_demand)
    def ask(self, name: str, values: dict[str, Any]) -> None:
        self.models[name] = replace(self.models[name], **values)

    @rule()
    def switch_source(self) -> None:
        self.source = Source.CGROUP if self.source is Source.MEMINFO else Source.MEMINFO

    @rule()
    def repeat_a_sample(self) -> None:
        if self.sample is not None and self.sample.at_s >= self.at_s:
            assert self.policy.decide(self.sample, tuple(self.models.values())) == ()

    @rule(used=shares, after_s=st.sampled_from((0.1, 2.0)), killed=st.sampled_from((None, 0, 0, 1)))
    def hurry(self, used: float, after_s: float, killed: int | None) -> None:
        if self.sample is None or self.at_s + after_s - self.sample.at_s >= RULES.interval_s / 2:
            return
        self.at_s += after_s
        seen = Sample(
            self.at_s,
            {HOST: memory(used, HOST, self.source), GPU: memory(used, GPU, self.source)},
            Pressure(oom_kills=killed),
        )
        if killed:
            self.emergency_s[HOST] = self.at_s
        decisions = self.policy.decide(seen, tuple(self.models.values()))
        assert killed or decisions == ()
        self._check(decisions)

    @rule(
        host=shares,
        gpu=shares,
        count=st.integers(1, 5),
        after_s=st.sampled_from((5.0, 5.0, 5.0, 4.0, 60.0)),
        processors=st.sampled_from((None, 0.3, 0.94, 0.95)),
        full=st.sampled_from((None, 0.0, 0.0, 0.0, 0.09, 0.1, 0.4)),
    )
    def pass_time(
        self,
        host: float,
        gpu: float,
        count: int,
        after_s: float,
        processors: float | None,
        full: float | None,
    ) -> None:
        for _ in range(count):
            if after_s > RULES.gap_s or (self.memory and self.memory[HOST].source is not self.source):
                self._begin_anew()
            self.at_s += after_s
            self.memory = {HOST: memory(host, HOST, self.source), GPU: memory(gpu, GPU, self.source)}
            pressure = Pressure("psi", full=full)
            self.sample = Sample(self.at_s, self.memory, pressure, BoardReading(processors_busy=processors))
            for name, each in self.memory.items():
                self.above[name] = self.above[name] + 1 if each.used_ratio > RULES.high_mark else 0
            for name, model in self.models.items():
                self.wanted[name] = self.wanted[name] + 1 if wants_more(model, RULES) else 0
            pressed = full is not None and full >= RULES.full_pressure
            if pressed:
                self.emergency_s[HOST] = self.at_s
            decisions = self.policy.decide(self.sample, tuple(self.models.values()))
            assert sorted(each.model for each in decisions if each.model) == sorted(self.models)
            if processors is not None and processors >= RULES.full_processors:
                assert not [each for each in decisions if each.action is Action.GROW]
            self._check(decisions)

    @rule(
        kind=st.sampled_from(AlarmKind),
        device=st.sampled_from((HOST, GPU)),
        after_s=st.sampled_from((0.5, 3.0)),
    )
    def raise_alarm(self, kind: AlarmKind, device: str, after_s: float) -> None:
        self.at_s += after_s
        where = HOST if kind is AlarmKind.LANE_KILLED else device
        spare = any(model.lanes > 1 for model in self.models.values() if model.device == where)
        fresh = self.at_s - self.emergency_s.get(where, -1e9) >= RULES.interval_s
        self.emergency_s[where] = self.at_s
        decisions = self.policy.alarm(Alarm(kind, self.at_s, device), tuple(self.models.values()))
        if spare and fresh:
            assert [each for each in decisions if each.action is Action.SHRINK], "an emergency acts at once"
        assert {each.device for each in decisions} <= {where}
        self._check(decisions)

    def _check(self, decisions: tuple[Decision, ...]) -> None:
        before = dict(self.models)
        for decision in decisions:
            assert any(letter.isdigit() for letter in decision.text), decision
            if decision.model:
                self.models[decision.model] = replace(
                    before[decision.model], ready=decision.lanes, idle=min(decision.lanes, 1)
                )
        for decision in decisions:
            check = {
                Action.GROW: self._check_growth,
                Action.SHRINK: self._check_loss,
                Action.HOLD: self._check_hold,
                Action.PAUSE: self._check_pause,
                Action.RESUME: self._check_resume,
            }[decision.action]
            check(decision, before)
        grown = Counter(each.device for each in decisions if each.action is Action.GROW)
        assert all(count == 1 for count in grown.values())
        for decision in decisions:
            if decision.action in (Action.GROW, Action.SHRINK):
                self.changed_s[decision.model] = self.at_s
                self.wanted[decision.model] = 0
            if decision.action in (Action.SHRINK, Action.PAUSE) and decision.reason in SHORT:
                self.short_s[decision.device] = self.at_s

    def _check_growth(self, decision: Decision, before: dict[str, ModelDemand]) -> None:
        model = before[decision.model]
        assert decision.lanes == model.lanes + 1
        assert self.wanted[decision.model] >= RULES.samples
        known, cost = self.memory[decision.device], model.lane_cost_bytes or model.cost_bound_bytes
        assert cost is not None
        assert known.available_bytes - RULES.reserve_bytes >= 1.2 * cost
        assert 1 - (known.available_bytes - cost) / known.total_bytes <= RULES.high_mark
        assert self.memory[HOST].used_ratio <= RULES.high_mark
        assert self.paused[decision.device] == []
        assert not [each for each in before.values() if each.exclusive and each.device == decision.device]
        assert self.at_s - self.changed_s.get(decision.model, -1e9) >= RULES.cooldown_s
        assert self.at_s - self.short_s.get(decision.device, -1e9) >= RULES.cooldown_s
        assert self.at_s - self.emergency_s.get(decision.device, -1e9) >= RULES.emergency_cooldown_s

    def _check_loss(self, decision: Decision, before: dict[str, ModelDemand]) -> None:
        assert 1 <= decision.lanes < before[decision.model].lanes
        if decision.reason is Reason.EMERGENCY:
            assert self.emergency_s[decision.device] == self.at_s
        else:
            assert self.at_s - self.changed_s.get(decision.model, -1e9) >= RULES.cooldown_s
        if decision.reason is Reason.ABOVE_MARK:
            assert self.above[decision.device] >= RULES.samples
        if decision.reason is Reason.IDLE:
            assert not wants_more(before[decision.model], RULES)

    def _check_hold(self, decision: Decision, before: dict[str, ModelDemand]) -> None:
        assert decision.lanes == before[decision.model].lanes
        assert decision.wanted is wants_more(before[decision.model], RULES)

    def _check_pause(self, decision: Decision, before: dict[str, ModelDemand]) -> None:
        here = [model for model in before.values() if model.device == decision.device]
        assert [model.lanes for model in here] == [1] * len(here)
        assert decision.priority is not None
        stack = self.paused[decision.device]
        levels = sorted({priority for model in here for priority in model.priorities})
        assert decision.priority == levels[len(stack)]
        if decision.reason is Reason.ABOVE_MARK:
            assert self.above[decision.device] >= RULES.samples
            assert decision.priority != levels[-1]
        stack.append(decision.priority)

    def _check_resume(self, decision: Decision, before: dict[str, ModelDemand]) -> None:
        stack = self.paused[decision.device]
        highest = max(
            priority
            for each in before.values()
            for priority in each.priorities
            if each.device == decision.device
        )
        assert decision.priority == stack.pop()
        if decision.priority != highest:
            assert self.memory[decision.device].used_ratio <= RULES.resume_below

    @invariant()
    def stay_within_bounds(self) -> None:
        assert all(1 <= model.lanes <= 6 for model in self.models.values())

    @invariant()
    def admit_what_is_not_paused(self) -> None:
        for device, stack in self.paused.items():
            assert [level for level in (0, 5, 9) if not self.policy.admits(level, device)] == [
                level for level in (0, 5, 9) if stack and level <= stack[-1]
            ]


PolicyMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestPolicyMachine = PolicyMachine.TestCase


class Steady(Driver):
    """A board on which only the gateway's own lanes change anything."""

    def __init__(self, base: float, loads: list[float], costs: list[int], measured: float) -> None:
        self.names = [f"m{number}" for number in range(len(loads))]
        cost_of = [max(1, round(cost * measured)) * MIB for cost in costs]
        super().__init__(
            *(
                busy(name, lane_cost_bytes=cost, max_lanes=8)
                for name, cost in zip(self.names, cost_of, strict=True)
            )
        )
        self.base, self.loads, self.costs = base, loads, costs
        self.changes: list[tuple[float, Decision]] = []

    def settle(self, samples: int) -> None:
        for _ in range(samples):
            for name, load in zip(self.names, self.loads, strict=True):
                model = self.models[name]
                share = min(1.0, load / model.ready)
                self.models[name] = replace(model, busy=share, idle=int(model.ready * (1 - share)))
            taken = sum(
                cost * (self.models[name].lanes - 1)
                for name, cost in zip(self.names, self.costs, strict=True)
            )
            decisions = self.step(min(0.99, self.base + taken / 4000))
            self.changes += [(self.at_s, each) for each in decisions if each.action is not Action.HOLD]


@pytest.mark.slow
@given(
    base=st.floats(0.1, 0.95),
    loads=st.lists(st.floats(0.0, 9.0), min_size=1, max_size=5),
    data=st.data(),
)
@settings(max_examples=15, deadline=None)
def test_where_nothing_else_changes_the_lanes_come_to_rest(
    base: float, loads: list[float], data: st.DataObject
) -> None:
    costs = data.draw(st.lists(st.integers(10, 600), min_size=len(loads), max_size=len(loads)))
    board = Steady(base, loads, costs, data.draw(st.floats(0.84, 1.5)))
    board.settle(800)
    before = len(board.changes)
    board.settle(400)
    assert board.changes[before:] == []


def test_a_lane_that_costs_twice_what_was_measured_is_tried_ever_less_often() -> None:
    board = Steady(0.70, [9.0], [800], 0.4)
    board.settle(24 * 720)
    tried = [at_s for at_s, each in board.changes if each.action is Action.GROW]
    pauses = [later - sooner for sooner, later in itertools.pairwise(tried)]
    assert 2 < len(tried) < 25
    assert pauses == sorted(pauses)
    assert pauses[-1] >= 4000
