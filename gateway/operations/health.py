"""Whether the gateway is ready: reasons against it come in, a verdict comes out.

Pure. ``/readyz`` answers with the verdict, and the service manager's watchdog
is to be fed from it.

Rules (each one is a property in ``tests/operations/test_health.py``):

1. Ready means: no blocking reason stands, and every expected model answered a
   canary inference within ``canary_max_age_s``.
2. A model that is not expected, or not any more, neither helps nor hinders. One that
   is excused is shown, and does not hinder either.
3. The broker's absence degrades but never blocks: models still answer, results
   queue up, and restarting the gateway would not bring the broker back.
4. Nothing changes the verdict before ``next_wakeup_s()`` but an event.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Reason(Enum):
    """What can stand against the gateway, besides its models."""

    STARTING = "starting"
    DRAINING = "draining"
    BROKER = "broker"


_DEGRADES = frozenset({Reason.BROKER})


@dataclass(frozen=True, slots=True)
class ModelHealth:
    """What is known of one model.

    Attributes:
        fresh: Whether its last successful canary is young enough.
        age_s: Seconds since its last successful canary; None if there was none.
        failure: Why its last canary failed; None if it succeeded or none was run.
    """

    fresh: bool
    age_s: float | None
    failure: str | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the gateway is ready, and why not.

    Attributes:
        ready: Whether frames get answers.
        degraded: Whether something is wrong that does not hinder answers.
        reasons: What stands against it, worst first: ``draining``, ``canary:NAME`` ...
        models: Each expected model's health.
    """

    ready: bool
    degraded: bool
    reasons: tuple[str, ...]
    models: dict[str, ModelHealth]


@dataclass(slots=True)
class _Canary:
    answered_s: float | None = None
    failure: str | None = None


class Health:
    """Collects reasons and canaries, and judges."""

    def __init__(self, canary_max_age_s: float) -> None:
        self._max_age_s = canary_max_age_s
        self._reasons: set[Reason] = {Reason.STARTING}
        self._canaries: dict[str, _Canary] = {}
        self._excused: frozenset[str] = frozenset()

    def set(self, reason: Reason) -> None:
        """Let a reason stand."""
        self._reasons.add(reason)

    def clear(self, reason: Reason) -> None:
        """Let a reason stand no longer."""
        self._reasons.discard(reason)

    def expect(self, models: Iterable[str]) -> None:
        """Say which models must answer; what is known of those that stay is kept."""
        self._canaries = {name: self._canaries.get(name, _Canary()) for name in models}

    def excuse(self, models: Iterable[str]) -> None:
        """Say which models never stand in the way, though they are watched if they are expected."""
        self._excused = frozenset(models)

    def canary_answered(self, model: str, now_s: float) -> None:
        """Note that a canary inference gave a right answer."""
        canary = self._canaries.get(model)
        if canary is not None:
            canary.answered_s, canary.failure = now_s, None

    def canary_failed(self, model: str, failure: str) -> None:
        """Note why a canary inference failed; the last success goes on ageing."""
        canary = self._canaries.get(model)
        if canary is not None:
            canary.failure = failure

    def reconfigure(self, canary_max_age_s: float) -> None:
        """Judge by another greatest age from now on."""
        self._max_age_s = canary_max_age_s

    def judge(self, now_s: float) -> Verdict:
        """Return the verdict of this moment."""
        models = {name: self._model(canary, now_s) for name, canary in self._canaries.items()}
        blocking = [reason.value for reason in Reason if reason in self._reasons - _DEGRADES]
        blocking += [
            f"canary:{name}" for name, model in models.items() if not (model.fresh or name in self._excused)
        ]
        degrading = [reason.value for reason in Reason if reason in self._reasons & _DEGRADES]
        return Verdict(
            ready=not blocking,
            degraded=bool(degrading),
            reasons=(*blocking, *degrading),
            models=models,
        )

    def next_wakeup_s(self, now_s: float) -> float | None:
        """Return when the verdict may change by itself: the next canary gets too old."""
        ends_s = [
            canary.answered_s + self._max_age_s
            for name, canary in self._canaries.items()
            if name not in self._excused
            and canary.answered_s is not None
            and now_s - canary.answered_s <= self._max_age_s
        ]
        return min(ends_s, default=None)

    def _model(self, canary: _Canary, now_s: float) -> ModelHealth:
        age_s = None if canary.answered_s is None else now_s - canary.answered_s
        fresh = age_s is not None and age_s <= self._max_age_s
        return ModelHealth(fresh, age_s, canary.failure)
