"""Carries out what the scaling policy decides: at each sample, and at once when memory has run out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Protocol

from gateway.configuration.settings import ScalingSettings
from gateway.daemon.demand_watch import DemandWatch
from gateway.daemon.fleet import Fleet
from gateway.operations.log import log
from gateway.operations.metrics import Metrics
from gateway.scaling.decisions import Action, Decision
from gateway.scaling.demand import ModelDemand
from gateway.scaling.policy import Alarm, AlarmKind, Policy
from gateway.scaling.rules import rules_from
from gateway.scaling.sample import HOST, Sample
from gateway.scaling.scale_out import ScaleOut

# Admission that was paused is given back after so many intervals without a sample.
_BLIND_INTERVALS = 12


class Samples(Protocol):
    """Where samples come from."""

    async def next_sample(self) -> Sample:
        """Return the next sample when it is there."""
        ...

    def hurry(self) -> None:
        """Have the next sample taken now."""
        ...


class Autoscaler:
    """Feeds the policy and changes lanes; everything but ``run`` is called in the event loop and quick."""

    def __init__(
        self, samples: Samples, fleet: Fleet, watch: DemandWatch, metrics: Metrics, settings: ScalingSettings
    ) -> None:
        self._samples = samples
        self._fleet = fleet
        self._metrics = metrics
        self._is_on = False
        self._demands: tuple[ModelDemand, ...] = ()
        self._holds: dict[str, str] = {}
        self._settings = settings
        self._looked_s = time.monotonic()
        self._begin(settings)
        watch.on_exhausted = self._exhausted
        watch.on_killed = self._killed

    async def run(self) -> None:
        """Follow samples for ever; ends by cancellation."""
        coming = asyncio.ensure_future(self._samples.next_sample())
        try:
            while True:
                sample = await coming
                # Asked for before this one is looked at, which may take long where memory is short: a sample
                # that comes meanwhile may be the only one that tells of a kill.
                coming = asyncio.ensure_future(self._samples.next_sample())
                await self.look(sample)
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)

    async def look(self, sample: Sample) -> None:
        """Decide on one sample and carry it out."""
        if not self._is_on:
            return
        demands = await self._fleet.demands(sample)
        self._looked_s = time.monotonic()
        self._demands = demands
        decisions = self._policy.decide(sample, demands)
        self._scale_out.note(sample.at_s, demands, decisions)
        self._carry_out(decisions)

    def reconfigure(self, settings: ScalingSettings) -> None:
        """Go by other rules from now on; what was learned by the old ones is forgotten."""
        if settings != self._settings:
            was_on, self._settings = self._is_on, settings
            self._begin(settings)
            if was_on and not self._is_on:
                self._fleet.as_configured()
            self._samples.hurry()  # the next one would come as late as the old interval says

    def admits(self, model: str, priority: int) -> bool:
        """Return whether frames of a priority are taken for a model now."""
        return not self._paused or self._is_blind() or self._policy.admits(priority, self._device(model))

    @property
    def scale_out(self) -> ScaleOut:
        """Whether more replicas of the gateway are wanted."""
        return self._scale_out

    def lane_cost_bytes(self) -> Mapping[str, int]:
        """Return what another lane of each model is reckoned to take, where that is known."""
        return {each.model: each.cost_bytes for each in self._demands if each.cost_bytes is not None}

    def max_lanes(self) -> Mapping[str, int]:
        """Return the most lanes that each model may have."""
        return {each.model: each.most_lanes for each in self._demands}

    def status(self) -> Mapping[str, object]:
        """Return what the policy remembers, as JSON values."""
        now_s = time.monotonic()
        return {
            "enabled": self._is_on,
            "devices": [asdict(device) for device in self._policy.devices(now_s)],
            "models": [
                {
                    "model": state.model,
                    "device": state.device,
                    "demand_samples": state.demand_samples,
                    "unneeded_s": round(state.unneeded_s, 1),
                    "left_alone_s": round(state.left_alone_s, 1),
                    "last": _words(state.last) if state.last is not None else None,
                }
                for state in self._policy.models(now_s)
            ],
            "scale_out": {"wanted": self._scale_out.wanted, "reason": self._scale_out.reason},
        }

    def paused(self) -> Mapping[str, int]:
        """Return by device the priority up to which frames wait; only devices where some do."""
        states = self._policy.devices(time.monotonic())
        return {each.device: each.paused_through for each in states if each.paused_through is not None}

    def _is_blind(self) -> bool:
        """Return whether samples have stopped to come: then nothing says any more that memory is short."""
        return time.monotonic() - self._looked_s > _BLIND_INTERVALS * self._settings.sample_interval_s

    def _begin(self, settings: ScalingSettings) -> None:
        rules = rules_from(settings)
        self._is_on = settings.enabled
        self._policy = Policy(rules)
        self._scale_out = ScaleOut(rules)
        self._paused = False
        self._holds.clear()

    def _carry_out(self, decisions: Sequence[Decision]) -> None:
        for decision in decisions:
            match decision.action:
                case Action.GROW | Action.SHRINK:
                    self._resize(decision)
                case Action.PAUSE:
                    self._metrics.scaling_decisions.add(1, decision.device, "pause", decision.reason.value)
                    log.event("admission_paused", **_admission(decision))
                case Action.RESUME:
                    self._metrics.scaling_decisions.add(1, decision.device, "resume", decision.reason.value)
                    log.event("admission_resumed", **_admission(decision))
                case Action.HOLD:
                    self._note_hold(decision)
        self._paused = bool(self.paused())

    def _resize(self, decision: Decision) -> None:
        self._holds.pop(decision.model, None)
        lanes = decision.lanes
        if lanes < 1:
            if self._fleet.unload(decision.model, decision.text):
                reason = decision.reason.value
                self._metrics.scaling_decisions.add(1, decision.model, "unload", reason)
                return
            lanes = 1  # it has been asked for meanwhile
        was = self._fleet.resize(decision.model, lanes)
        action, reason = decision.action.value, decision.reason.value
        self._metrics.scaling_decisions.add(1, decision.model, action, reason)
        log.event(
            "lanes_scaled",
            model=decision.model,
            was=was,
            to=lanes,
            reason=reason,
            why=decision.text,
            device=decision.device,
        )

    def _note_hold(self, decision: Decision) -> None:
        """Say once why a model does not get the lane that it would use."""
        if not decision.wanted:
            self._holds.pop(decision.model, None)
        elif self._holds.get(decision.model) != decision.reason.value:
            self._holds[decision.model] = decision.reason.value
            self._metrics.scaling_decisions.add(1, decision.model, "hold", decision.reason.value)
            log.event("growth_held", model=decision.model, reason=decision.reason.value, why=decision.text)

    def _exhausted(self, model: str, why: str) -> None:
        if self._is_on:
            alarm = Alarm(AlarmKind.ALLOCATION_FAILED, time.monotonic(), self._device(model), model, why)
            self._carry_out(self._policy.alarm(alarm, self._now()))

    def _killed(self, _model: str) -> None:
        """Find out at once whether it was the kernel, for memory."""
        self._samples.hurry()

    def _now(self) -> tuple[ModelDemand, ...]:
        """Return the demands of the last sample with the lanes that there are now."""
        return self._fleet.refreshed(self._demands)

    def _device(self, model: str) -> str:
        return next((each.device for each in self._demands if each.model == model), HOST)


def _admission(decision: Decision) -> dict[str, object]:
    return {
        "priority": decision.priority,
        "reason": decision.reason.value,
        "why": decision.text,
        "device": decision.device,
    }


def _words(decision: Decision) -> dict[str, object]:
    return {
        "action": decision.action.value,
        "reason": decision.reason.value,
        "why": decision.text,
        "lanes": decision.lanes,
        "wanted": decision.wanted,
    }
