"""Which discovered sensors may run models, and which: the first rule that matches a stream decides on it.

A sensor is admitted when at least one of its streams is. What no rule matches
waits as pending, so that nothing runs because somebody plugged it in.
"""

from __future__ import annotations

import enum
import fnmatch
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.configuration.settings import AdmissionRule
from gateway.mqtt.topic import matches
from gateway.sensors.sensor import LEARNED, Sensor, Stream
from gateway.sensors.topic_policy import TopicPolicy

Fits = Callable[[Stream, str], bool]
"""Tells whether a pipeline, by name, can take what a stream is declared to send."""


class Admission(enum.Enum):
    """What the rules say of a sensor."""

    ADMITTED = "admitted"
    DENIED = "denied"
    PENDING = "pending"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision on one sensor.

    Attributes:
        admission: What becomes of it.
        reason: Why, for people.
        pipelines: Pipelines of each admitted stream, at least one each.
    """

    admission: Admission
    reason: str
    pipelines: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Rule:
    number: int
    rule: AdmissionRule
    id: re.Pattern[str]
    labels: tuple[tuple[str, re.Pattern[str]], ...]


class AdmissionRules:
    """The rules, made ready to be asked often.

    Args:
        rules: In order.
        pipelines: Names of the configured pipelines.
        fits: Which of them can take which stream; all when None.
        policy: Topics that are never bound, whatever a rule says; checked here
            anew because a reload may have moved the gateway's own topics.
    """

    def __init__(
        self,
        rules: Sequence[AdmissionRule],
        pipelines: Collection[str],
        fits: Fits | None = None,
        policy: TopicPolicy | None = None,
    ) -> None:
        self._policy = policy
        self._pipelines = frozenset(pipelines)
        self._fits = fits
        self._rules = tuple(
            _Rule(
                number,
                rule,
                _glob(rule.id),
                tuple((key, _glob(pattern)) for key, pattern in rule.labels.items()),
            )
            for number, rule in enumerate(rules, 1)
        )

    def decide(self, sensor: Sensor) -> Verdict:
        """Return what becomes of a discovered sensor. Learned topics always wait for a person."""
        if sensor.dialect == LEARNED:
            return Verdict(Admission.PENDING, "its topic was overheard: declare it to use it")
        asked = [rule for rule in self._rules if _matches_sensor(rule, sensor)]
        admitted: dict[str, tuple[str, ...]] = {}
        pending: list[str] = []
        denied: list[str] = []
        for stream in sensor.streams.values():
            rule = next((rule for rule in asked if _matches_stream(rule.rule, stream)), None)
            if self._policy is not None and self._policy.is_own(stream.topic):
                denied.append(f"topic {stream.topic[:80]!r} is one of the gateway's own")
            elif rule is None:
                pending.append("no admission rule matches")
            elif rule.rule.action == "deny":
                denied.append(f"denied by admission rule {rule.number}")
            elif rule.rule.action == "pending":
                pending.append(f"kept waiting by admission rule {rule.number}")
            else:
                pipelines, why_none = self._chosen(rule, sensor, stream)
                if pipelines:
                    admitted[stream.name] = pipelines
                else:
                    pending.append(why_none)
        if admitted:
            return Verdict(Admission.ADMITTED, f"{len(admitted)} of {len(sensor.streams)} streams", admitted)
        if denied and not pending:
            return Verdict(Admission.DENIED, denied[0])
        return Verdict(Admission.PENDING, pending[0] if pending else "it has no streams")

    def declared(self, sensor: Sensor, pipelines: Sequence[str]) -> Verdict:
        """Return what a declared sensor runs: the pipelines written beside it, each where it fits."""
        chosen = {
            stream.name: tuple(name for name in pipelines if self._takes(stream, name))
            for stream in sensor.streams.values()
        }
        bound = {name: names for name, names in chosen.items() if names}
        return Verdict(Admission.ADMITTED, "declared in the configuration", bound)

    def _chosen(self, rule: _Rule, sensor: Sensor, stream: Stream) -> tuple[tuple[str, ...], str]:
        named = rule.rule.pipelines or ((sensor.pipeline_hint,) if sensor.pipeline_hint else ())
        if not named:
            return (), f"admission rule {rule.number} allows it, but neither names a pipeline"
        known = tuple(name for name in named if name in self._pipelines)
        if not known:
            return (), f"pipeline {named[0][:64]!r} is not configured"
        if rule.rule.stream:
            return known, ""
        fitting = tuple(name for name in known if self._takes(stream, name))
        return fitting, "" if fitting else f"no pipeline of admission rule {rule.number} takes its payloads"

    def _takes(self, stream: Stream, pipeline: str) -> bool:
        return self._fits is None or self._fits(stream, pipeline)


def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern))


def _matches_sensor(rule: _Rule, sensor: Sensor) -> bool:
    asked = rule.rule
    if asked.dialect not in ("", sensor.dialect) or asked.kind not in ("", sensor.kind):
        return False
    if not rule.id.match(sensor.id):
        return False
    return all(key in sensor.labels and pattern.match(sensor.labels[key]) for key, pattern in rule.labels)


def _matches_stream(rule: AdmissionRule, stream: Stream) -> bool:
    if rule.stream not in ("", stream.name):
        return False
    return rule.topic == "#" or matches(rule.topic, stream.topic)
