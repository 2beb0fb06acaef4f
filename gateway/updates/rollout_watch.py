"""When a phased rollout goes on, stops, or goes back: two thresholds and a least number of boards. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import Final

from gateway.errors import PublishRefused
from gateway.updates.outcome import Counts

_WHOLE: Final = 100.0


class OnError(enum.Enum):
    """What to do when too many boards failed."""

    PAUSE = "pause"
    REVERT = "revert"


class Move(enum.Enum):
    """What to do now."""

    WAIT = "wait"
    RAISE = "raise"
    PAUSE = "pause"
    REVERT = "revert"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Policy:
    """How a rollout is watched.

    Attributes:
        steps: Percentages, rising, at least one.
        success_rate: Share of the selected boards that must have committed before the next step.
        error_rate: Share of the finished boards that may have failed.
        min_boards: Finished boards before a share of failures means anything; fewer if fewer are selected.
        soak_s: Seconds for which the success must last.
        on_error: What to do when too many failed.
    """

    steps: tuple[float, ...]
    success_rate: float = 0.95
    error_rate: float = 0.05
    min_boards: int = 1
    soak_s: float = 0.0
    on_error: OnError = OnError.PAUSE

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            PublishRefused: They make no policy.
        """
        rising = all(low < high for low, high in zip(self.steps, self.steps[1:], strict=False))
        if not self.steps or not rising or not self.steps[0] > 0 or not self.steps[-1] <= _WHOLE:
            raise PublishRefused("steps: percentages above 0 up to 100 are wanted, each above the one before")
        if not 0 < self.success_rate <= 1 or not 0 <= self.error_rate < 1:
            raise PublishRefused("success-rate must be above 0 and at most 1, error-rate from 0 to below 1")
        if self.min_boards < 1 or not self.soak_s >= 0:
            raise PublishRefused("min-boards must be 1 or more, soak 0 or more")


@dataclass(frozen=True, slots=True)
class Watching:
    """Where the watch is.

    Attributes:
        percent: Share of the boards that are meant now.
        since_s: Time since which the success lasts; None if it does not.
    """

    percent: float
    since_s: float | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now, and why.

    Attributes:
        move: What.
        percent: The percentage from now on.
        reason: Why, in words.
    """

    move: Move
    percent: float
    reason: str


def step(policy: Policy, watching: Watching, counts: Counts, now_s: float) -> tuple[Watching, Decision]:
    """Decide what to do with what is known now.

    Failures are looked at before successes: a step on which both thresholds are crossed does not go on.

    Args:
        policy: The policy.
        watching: Where the watch is.
        counts: Where the release stands among the boards that are meant.
        now_s: Monotonic seconds.
    """
    if watching.percent < policy.steps[0]:
        return _raised(policy.steps[0], "the first step")
    least = max(1, min(policy.min_boards, counts.selected))
    if counts.finished >= least and counts.failed > policy.error_rate * counts.finished:
        return _stopped(policy, watching, f"{counts.failed} of {counts.finished} finished boards failed")
    if counts.committed < policy.success_rate * counts.selected:
        if counts.finished >= counts.selected:
            what = f"only {counts.committed} of {counts.selected} boards committed, and no more will come"
            return _stopped(policy, watching, what)
        told = f"{counts.committed} of {counts.selected} boards committed, {counts.failed} failed"
        return replace(watching, since_s=None), Decision(Move.WAIT, watching.percent, told)
    since_s = now_s if watching.since_s is None else watching.since_s
    held = Watching(watching.percent, since_s)
    told = f"{counts.committed} of {counts.selected} boards committed"
    if now_s - since_s < policy.soak_s:
        left_s = policy.soak_s - (now_s - since_s)
        return held, Decision(Move.WAIT, watching.percent, f"{told}; {left_s:.0f} s left to soak")
    following = next((each for each in policy.steps if each > watching.percent), None)
    if following is None:
        return held, Decision(Move.DONE, watching.percent, told)
    return _raised(following, told)


def _raised(percent: float, reason: str) -> tuple[Watching, Decision]:
    return Watching(percent), Decision(Move.RAISE, percent, reason)


def _stopped(policy: Policy, watching: Watching, reason: str) -> tuple[Watching, Decision]:
    move = Move.PAUSE if policy.on_error is OnError.PAUSE else Move.REVERT
    return replace(watching, since_s=None), Decision(move, watching.percent, reason)
