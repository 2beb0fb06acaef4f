"""A version of a model with lanes of its own, and what a change of the configuration did to versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.daemon.model_plan import ChangeKind, ModelPlan
from gateway.daemon.service_watch import ServiceWatch
from gateway.inference.scheduler import Scheduler


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change did.

    Attributes:
        kinds: What happened to each model.
        ending: Schedulers that serve no longer; drain them.
    """

    kinds: Mapping[str, ChangeKind]
    ending: tuple[Scheduler, ...]


@dataclass(slots=True, eq=False)
class Version:
    """A version of a model with lanes of its own: it serves, or it may soon.

    Attributes:
        name: Name of the model.
        plan: What it was started from.
        scheduler: Its queue and lanes.
        watch: What is known of how it does.
        since_s: When it began to serve, monotonic seconds; 0 before.
    """

    name: str
    plan: ModelPlan
    scheduler: Scheduler
    watch: ServiceWatch
    since_s: float = 0.0

    @property
    def used_s(self) -> float:
        """When it was last asked, monotonic seconds; when it began to serve if it never was."""
        return max(self.since_s, self.watch.asked_s)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits for it or runs on it."""
        return not self.scheduler.queued and not self.scheduler.in_flight

    @property
    def card_version(self) -> str:
        """What its card calls it; empty before it is loaded."""
        return self.scheduler.facts.version.version if self.scheduler.facts is not None else ""
