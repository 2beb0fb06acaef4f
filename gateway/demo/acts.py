"""The acts of the second half: which release each brings, how it should end, and how far it is. Pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.demo.frame_count import NOTHING, FrameCount
from gateway.updates.reported import Reported


class Outcome(enum.Enum):
    """How an act ended."""

    UNFINISHED = "unfinished"
    COMMITTED = "committed"
    REFUSED = "refused"
    ROLLED_BACK = "rolled back"


@dataclass(frozen=True, slots=True)
class Act:
    """One release and what should become of it.

    Attributes:
        release: Its number.
        title: What is the matter with it, for people.
        expected: How it should end.
        because: A word that the reason must hold; empty where there is none.
        serves: Number of the release that must answer afterwards.
    """

    release: int
    title: str
    expected: Outcome
    because: str
    serves: int


BETTER, MIXED_UP, DEADLY, SLOW = 1, 2, 3, 4

ACTS: Final = (
    Act(BETTER, "friendlier names", Outcome.COMMITTED, "", BETTER),
    Act(MIXED_UP, "colours mixed up", Outcome.REFUSED, "golden", BETTER),
    Act(DEADLY, "deadly to load", Outcome.REFUSED, "SIG", BETTER),
    Act(SLOW, "far too slow", Outcome.ROLLED_BACK, "ms at p", BETTER),
)


def label_of(release: int) -> str:
    """Return the version that a release's card says; 0 is what the gateway was delivered with."""
    return f"1.{release}.0"


_QUARANTINED: Final = "quarantined"
_FAILS: Final[Mapping[str, Outcome]] = {
    "rejected": Outcome.REFUSED,
    "refused": Outcome.REFUSED,
    "rolled_back": Outcome.ROLLED_BACK,
    "given_up": Outcome.ROLLED_BACK,
}


@dataclass(frozen=True, slots=True)
class StepSeen:
    """A step of the board's own telling.

    Attributes:
        step: Its name, as on the ``event`` topic.
        at_s: Seconds since the doorbell.
    """

    step: str
    at_s: float


@dataclass(slots=True)
class Progress:
    """How far an act is, by what the board tells. Mutable.

    Attributes:
        act: The act.
        steps: What was told, in its order.
        outcome: How the release ended; ``UNFINISHED`` until it did.
        reason: Why it failed, in the board's words.
    """

    act: Act
    steps: list[StepSeen] = field(default_factory=list)
    outcome: Outcome = Outcome.UNFINISHED
    reason: str = ""

    def take(self, event: Mapping[str, Any], model: str, at_s: float) -> None:
        """Take an event; those of other models and releases are passed over.

        Args:
            event: As published on the ``event`` topic.
            model: The model that the acts are about.
            at_s: Seconds since the doorbell.
        """
        step = event.get("step")
        if (event.get("model"), event.get("release")) != (model, self.act.release):
            return
        if not isinstance(step, str) or (self.outcome is not Outcome.UNFINISHED and step != _QUARANTINED):
            return  # what is offered again after its end is refused again: no news
        self.steps.append(StepSeen(step, at_s))
        if step == "committed":
            self.outcome = Outcome.COMMITTED
        elif step in _FAILS:
            self.outcome = _FAILS[step]
            self.reason = str(event.get("reason", ""))
        elif step == "hindered":
            self.reason = str(event.get("reason", ""))

    def passed(self, step: str) -> bool:
        """Return whether a step was told."""
        return any(seen.step == step for seen in self.steps)

    @property
    def as_expected(self) -> bool:
        """Whether the release ended as it should, for the right reason."""
        put_away = self.act.expected is Outcome.COMMITTED or self.passed(_QUARANTINED)
        return self.outcome is self.act.expected and self.act.because in self.reason and put_away

    def is_settled(self, report: Reported, model: str) -> bool:
        """Return whether the board's report agrees with what it told: who serves, who is put away.

        Args:
            report: The newest.
            model: The model that the acts are about.
        """
        held = report.models.get(model)
        if self.outcome is Outcome.UNFINISHED or held is None or held.active is None:
            return False
        if self.outcome is Outcome.COMMITTED:
            agrees = held.active.release == self.act.release
        else:
            agrees = held.active.release != self.act.release and self.act.release in held.quarantined
        return agrees and held.phase == "idle" and held.active.answering


@dataclass(slots=True)
class Played:
    """An act as it went. Mutable.

    Attributes:
        progress: What the board told.
        frames: What became of the camera's frames meanwhile.
        longest_gap_s: Longest pause between two answers meanwhile.
        serves: Version that gave the newest result afterwards; empty before the end.
        workers: Process ids of the workers that hold the model afterwards.
        settled: Whether the board's report and its results agree with what it told.
    """

    progress: Progress
    frames: FrameCount = NOTHING
    longest_gap_s: float = 0.0
    serves: str = ""
    workers: tuple[int, ...] = ()
    settled: bool = False

    @property
    def ok(self) -> bool:
        """Whether it ended as it should, and no frame was lost or failed."""
        frames = self.frames
        unharmed = frames.lost == 0 and frames.failed == 0 and frames.results > 0
        answers = self.serves == label_of(self.progress.act.serves)
        return self.settled and self.progress.as_expected and answers and unharmed
