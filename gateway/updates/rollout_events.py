"""What can happen to the rollout of one model: the events that its table takes. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.updates.release import ReleaseRef


@dataclass(frozen=True, slots=True)
class Offered:
    """The assignment wishes this release here, now.

    Attributes:
        ref: The release.
        now_unix_s: The time, as far as it is known.
        shadow_frames: Live frames on which it shall run beside what serves; 0 for none.
        min_release: Least number that the author allows on any board.
        allow_downgrade: True if the assignment allows a number below the floor.
        incompatible: Why this board cannot run it; empty if it can.
        quarantined: Why it is in quarantine; empty if it is not.
        asked: True if somebody asks now: a pause between two tries is not kept.
    """

    ref: ReleaseRef
    now_unix_s: int
    shadow_frames: int = 0
    min_release: int = 0
    allow_downgrade: bool = False
    incompatible: str = ""
    quarantined: str = ""
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The assignment wishes nothing here any more, or wishes that boards wait."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """The release lies whole in the store."""

    ref: ReleaseRef


@dataclass(frozen=True, slots=True)
class TurnCame:
    """No other model is being validated: this one may."""

    ref: ReleaseRef


@dataclass(frozen=True, slots=True)
class Hindered:
    """The candidate cannot go on, through no fault of its own: no network, no room, a damaged copy.

    Attributes:
        ref: The candidate.
        code: Label of the error.
        reason: The same in words.
        now_unix_s: The time, as far as it is known.
        jitter: A fresh random number in [0, 1], so that boards do not all try again together.
        permanent: True if asking again soon will not help; the next try waits as long as tries ever wait.
    """

    ref: ReleaseRef
    code: str
    reason: str
    now_unix_s: int
    jitter: float
    permanent: bool = False


@dataclass(frozen=True, slots=True)
class Proven:
    """The throw-away process found nothing against the release."""

    ref: ReleaseRef


@dataclass(frozen=True, slots=True)
class Agreed:
    """In shadow the candidate agreed with what serves."""

    ref: ReleaseRef


@dataclass(frozen=True, slots=True)
class Failed:
    """The release is at fault: in validation, in shadow, while its lanes started, or in the bake.

    Attributes:
        ref: The release.
        code: Label of the error.
        reason: The same in words, with the stage.
        now_unix_s: The time, as far as it is known.
    """

    ref: ReleaseRef
    code: str
    reason: str
    now_unix_s: int


@dataclass(frozen=True, slots=True)
class SwitchAllowed:
    """The window is open and the mates of the set are ready: the candidate may take over."""

    ref: ReleaseRef
    now_unix_s: int


@dataclass(frozen=True, slots=True)
class Switched:
    """The release answers; what served before gets no new work."""

    ref: ReleaseRef


@dataclass(frozen=True, slots=True)
class BakeTick:
    """Watched service since the last tick. Every tick is one write: some seconds apart are enough.

    Attributes:
        ref: What serves.
        seconds: Time in which it was watched.
        requests: Requests that it answered in that time.
    """

    ref: ReleaseRef
    seconds: float
    requests: int


@dataclass(frozen=True, slots=True)
class BakePassed:
    """All gates stayed green, long enough."""

    ref: ReleaseRef


@dataclass(frozen=True, slots=True)
class Booted:
    """The process starts, and nothing serves yet. The first event of every process."""

    now_unix_s: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """The process ends because somebody asked: this start says nothing against a release."""


@dataclass(frozen=True, slots=True)
class ActiveBad:
    """What should serve does not: its bytes are damaged, or it cannot be loaded.

    Attributes:
        ref: What should serve; None for the factory model.
        code: Label of the error.
        reason: The same in words.
        now_unix_s: The time, as far as it is known.
    """

    ref: ReleaseRef | None
    code: str
    reason: str
    now_unix_s: int


@dataclass(frozen=True, slots=True)
class RollbackAsked:
    """An operator wants what served before.

    Attributes:
        reason: Who, and why.
        now_unix_s: The time, as far as it is known.
    """

    reason: str
    now_unix_s: int


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """An operator wants the candidate given up."""

    reason: str


@dataclass(frozen=True, slots=True)
class Quarantined:
    """The quarantine holds the release, durably."""

    ref: ReleaseRef


Event = (
    Offered
    | Withdrawn
    | Fetched
    | TurnCame
    | Hindered
    | Proven
    | Agreed
    | Failed
    | SwitchAllowed
    | Switched
    | BakeTick
    | BakePassed
    | Booted
    | Stopped
    | ActiveBad
    | RollbackAsked
    | CancelAsked
    | Quarantined
)
