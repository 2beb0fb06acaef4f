"""Feeds a policy sample by sample and does with the lanes what it decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from gateway.scaling.decisions import Action, Decision
from gateway.scaling.demand import ModelDemand
from gateway.scaling.policy import Alarm, AlarmKind, Policy
from gateway.scaling.rules import Rules
from gateway.scaling.sample import HOST, BoardReading, DeviceMemory, Pressure, Sample, Source

MIB: Final = 1 << 20
TOTAL: Final = 4000 * MIB


def memory(
    used: float, device: str = HOST, source: Source = Source.MEMINFO, total: int = TOTAL
) -> DeviceMemory:
    """Return a device's memory of which a share is in use."""
    return DeviceMemory(device, source, "said so", total, round(total * (1 - used)))


def busy(model: str, **more: Any) -> ModelDemand:
    """Return a model whose lanes are all busy and whose lanes cost 100 MiB."""
    values: dict[str, Any] = {"max_lanes": 4, "busy": 1.0, "lane_cost_bytes": 100 * MIB, **more}
    return ModelDemand(model, **values)


def idle(model: str, **more: Any) -> ModelDemand:
    """Return a model that has hardly anything to do."""
    return busy(model, **{"busy": 0.01, "idle": more.get("ready", 1), **more})


class Driver:
    """A policy, its clock and its models."""

    def __init__(self, *models: ModelDemand, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.policy = Policy(self.rules)
        self.models = {each.model: each for each in models}
        self.at_s = 1000.0
        self.last: tuple[Decision, ...] = ()

    def step(
        self,
        used: float | Mapping[str, DeviceMemory],
        *,
        after_s: float = 5.0,
        pressure: Pressure | None = None,
        processors_busy: float | None = 0.5,
    ) -> tuple[Decision, ...]:
        """Take the next sample; lanes follow at once."""
        self.at_s += after_s
        sample = Sample(
            self.at_s,
            {HOST: memory(used)} if isinstance(used, float) else used,
            pressure or Pressure(),
            BoardReading(processors_busy=processors_busy),
        )
        return self.carry_out(self.policy.decide(sample, tuple(self.models.values())))

    def steps(self, used: float, count: int, **more: Any) -> tuple[Decision, ...]:
        """Take some samples that are alike, and return all that was decided besides holding."""
        return tuple(
            decision
            for _ in range(count)
            for decision in self.step(used, **more)
            if decision.action is not Action.HOLD
        )

    def alarm(self, kind: AlarmKind, after_s: float = 1.0, device: str = HOST) -> tuple[Decision, ...]:
        """Raise an alarm between two samples."""
        self.at_s += after_s
        return self.carry_out(self.policy.alarm(Alarm(kind, self.at_s, device), tuple(self.models.values())))

    def carry_out(self, decisions: tuple[Decision, ...]) -> tuple[Decision, ...]:
        """Do what was decided."""
        self.last = decisions
        for decision in decisions:
            if decision.model:
                was = self.models[decision.model]
                spare = max(0, was.idle - (was.lanes - decision.lanes))
                self.models[decision.model] = replace(
                    was,
                    ready=decision.lanes,
                    starting=0,
                    idle=spare if decision.lanes < was.lanes else was.idle,
                )
        return decisions

    def of(self, model: str) -> Decision:
        """Return what was decided last about a model."""
        return next(decision for decision in self.last if decision.model == model)


def words(decisions: tuple[Decision, ...]) -> list[str]:
    """Return actions and reasons, in short."""
    return [f"{each.action.value} {each.model or each.priority}: {each.reason.value}" for each in decisions]
