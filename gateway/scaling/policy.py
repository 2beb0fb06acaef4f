"""When to add a lane, retire one, or pause admission: the policy of scaling. Pure.

Rules (each a property in ``tests/scaling/test_policy_rules.py``):

1. Memory is the ceiling, demand the wish. Above the mark for some samples in a row lanes go: unused ones
   first, then where it does the least harm; never the last one of a model, save of one that is loaded on
   demand and not in use. Then streams of the lowest priority wait, but those of the highest only in an
   emergency.
2. A lane is added if it was wanted for as many samples in a row, one at a time, if what is available less the
   reserve is 1.2 times its cost, it stays below the mark, and the processors have time for it.
3. A lane above the configured number goes once it was not needed for long enough.
4. A model's lanes are left alone for the cool-down after a change, and no lane is added on a device for the
   cool-down after one went there for want of memory. Only emergencies do not wait.
5. An emergency acts at once, and no lane is added for the longer cool-down.
6. Samples that are missing, or that come from another source, begin every streak anew.
7. What is paused resumes in reverse order, one priority at a time, well below the mark.
8. A cost that was not measured is not guessed: the bound is used, or nothing is added.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.scaling.decisions import Action, Decision
from gateway.scaling.demand import ModelDemand
from gateway.scaling.device import DevicePolicy, Emergency, Moment
from gateway.scaling.rules import Rules
from gateway.scaling.sample import HOST, DeviceMemory, Pressure, Sample


class AlarmKind(enum.Enum):
    """What tells between two samples that memory has run out."""

    ALLOCATION_FAILED = "an allocation failed"
    LANE_KILLED = "a lane was killed for memory"


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something happened that cannot wait for the next sample.

    Attributes:
        kind: What.
        at_s: When, monotonic seconds.
        device: Whose memory ran out; the kernel kills for the board's.
        model: Whose lane it happened to.
        detail: More, in words; may be empty.
    """

    kind: AlarmKind
    at_s: float
    device: str = HOST
    model: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class DeviceState:
    """What the policy remembers of one device, for metrics and ``/status``.

    Attributes:
        device: Which.
        source: Where its memory numbers come from; empty if nothing tells.
        above_samples: Samples in a row above the mark.
        calm_samples: Samples in a row so far below it that paused streams may resume.
        paused_through: Streams of this priority and lower ones wait; None if none does.
        no_growth_s: For how long no lane is added yet, after a change or an emergency; 0 if one may be.
    """

    device: str
    source: str
    above_samples: int
    calm_samples: int
    paused_through: int | None
    no_growth_s: float


@dataclass(frozen=True, slots=True)
class ModelState:
    """What the policy remembers of one model.

    Attributes:
        model: Which.
        device: Whose memory its lanes take.
        demand_samples: Samples in a row in which it wanted another lane.
        unneeded_s: For how long one lane fewer would have done.
        left_alone_s: For how long its lanes are left alone yet.
        last: What was last decided about it; None before the first sample.
    """

    model: str
    device: str
    demand_samples: int
    unneeded_s: float
    left_alone_s: float
    last: Decision | None


class Policy:
    """Decides for every device and model; owned by whoever feeds it. Not thread-safe; all calls are quick."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._devices: dict[str, DevicePolicy] = {}
        self._memory: dict[str, DeviceMemory] = {}
        self._last: dict[str, Decision] = {}
        self._seen_s: float | None = None
        self._at_s: float | None = None  # of the last sample that counted
        self._full: float | None = None

    def decide(self, sample: Sample, demands: Sequence[ModelDemand]) -> tuple[Decision, ...]:
        """Return what to do after a sample: one decision for each model, and what to pause or resume.

        Args:
            sample: The newest one. One that was seen before gives no decisions; one that was hurried (less
                than half an interval after the last) is only looked at for emergencies.
            demands: Every serving model, once.
        """
        if self._seen_s is not None and sample.at_s <= self._seen_s:
            return ()
        self._seen_s = sample.at_s
        self._memory = dict(sample.memory)
        if self._at_s is not None and sample.at_s - self._at_s < self._rules.early_s:
            return self._look(sample, demands)
        in_a_row = self._at_s is not None and sample.at_s - self._at_s <= self._rules.gap_s
        if not in_a_row:
            self._full = None
        self._at_s = sample.at_s
        emergency = self._emergency(sample.pressure)
        decided: list[Decision] = []
        for name in self._names(demands):
            moment = Moment(
                at_s=sample.at_s,
                in_a_row=in_a_row,
                memory=sample.memory.get(name),
                host=sample.memory.get(HOST),
                processors_busy=sample.board.processors_busy,
                emergency=emergency if name == HOST else None,
            )
            decided += self._device(name).step(moment, _of(demands, name))
        self._keep(decided, demands)
        return tuple(decided)

    def alarm(self, alarm: Alarm, demands: Sequence[ModelDemand]) -> tuple[Decision, ...]:
        """Return what to do at once. Nothing, if the same shortage was acted upon a moment ago.

        Args:
            alarm: What happened.
            demands: Every serving model, once, as they are now.
        """
        name = HOST if alarm.kind is AlarmKind.LANE_KILLED else alarm.device
        text = f"{alarm.kind.value} ({alarm.model})" if alarm.model else alarm.kind.value
        if alarm.detail:
            text = f"{text}: {alarm.detail}"
        return self._act(name, alarm.at_s, Emergency(text), demands)

    def admits(self, priority: int, device: str = HOST) -> bool:
        """Return whether frames of a priority are taken for models whose lanes take a device's memory."""
        known = self._devices.get(device)
        return known is None or known.pausing.admits(priority)

    def devices(self, at_s: float) -> tuple[DeviceState, ...]:
        """Return what is remembered of each device at a time, by name."""
        return tuple(_device_state(known, at_s) for _, known in sorted(self._devices.items()))

    def models(self, at_s: float) -> tuple[ModelState, ...]:
        """Return what is remembered of each model at a time, by name."""
        states = [
            ModelState(
                model,
                device.device,
                known.demand.count,
                known.unneeded_s(at_s),
                known.cools_down_s(at_s, self._rules.cooldown_s),
                self._last.get(model),
            )
            for device in self._devices.values()
            for model, known in device.models.items()
        ]
        return tuple(sorted(states, key=lambda state: state.model))

    def _look(self, sample: Sample, demands: Sequence[ModelDemand]) -> tuple[Decision, ...]:
        """Look at a hurried sample for an emergency."""
        emergency = self._emergency(sample.pressure)
        if emergency is None or emergency.easing:
            return ()
        return self._act(HOST, sample.at_s, emergency, demands)

    def _act(
        self, name: str, at_s: float, emergency: Emergency, demands: Sequence[ModelDemand]
    ) -> tuple[Decision, ...]:
        moment = Moment(
            at_s=at_s,
            in_a_row=True,
            memory=self._memory.get(name),
            host=self._memory.get(HOST),
            processors_busy=None,
            emergency=emergency,
        )
        decided = self._device(name).alarm(moment, _of(demands, name))
        self._keep(decided, demands)
        return decided

    def _names(self, demands: Iterable[ModelDemand]) -> list[str]:
        """Return the devices that matter: those of models, and those that did before."""
        return sorted({HOST, *self._devices, *(demand.device for demand in demands)})

    def _device(self, name: str) -> DevicePolicy:
        if name not in self._devices:
            self._devices[name] = DevicePolicy(name, self._rules)
        return self._devices[name]

    def _keep(self, decided: Iterable[Decision], demands: Iterable[ModelDemand]) -> None:
        serving = {demand.model for demand in demands}
        self._last = {model: last for model, last in self._last.items() if model in serving}
        for decision in decided:
            if decision.action not in (Action.PAUSE, Action.RESUME):
                self._last[decision.model] = decision

    def _emergency(self, pressure: Pressure) -> Emergency | None:
        """Return what is amiss with the board's memory; None if nothing is.

        An average of pressure lags: while it falls, what was done about it works already.
        """
        before, self._full = self._full, pressure.full
        if pressure.oom_kills:
            return Emergency(f"{pressure.oom_kills} processes were killed for memory")
        full, limit = pressure.full, self._rules.full_pressure
        if full is None or full < limit:
            return None
        text = f"everything waited for memory for {full:.0%} of the time, {limit:.0%} is an emergency"
        return Emergency(text, easing=before is not None and before >= limit and full < before)


def _of(demands: Iterable[ModelDemand], device: str) -> list[ModelDemand]:
    return [demand for demand in demands if demand.device == device]


def _device_state(known: DevicePolicy, at_s: float) -> DeviceState:
    until = [until_s for until_s in (known.emergency_until_s, known.settles_until_s) if until_s is not None]
    return DeviceState(
        known.device,
        "" if known.source is None else known.source.value,
        known.above.count,
        known.calm.count,
        known.pausing.through,
        max(0.0, max(until, default=at_s) - at_s),
    )
