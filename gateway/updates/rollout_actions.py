"""What the rollout of one model asks its shell to do. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.updates.release import ReleaseRef


@dataclass(frozen=True, slots=True)
class Fetch:
    """Bring the release into the store; answer ``Fetched``, ``Hindered`` or ``Failed``."""

    ref: ReleaseRef


@dataclass(frozen=True, slots=True)
class CancelWork:
    """End whatever runs for a candidate: transfer, child, shadow, lanes not yet serving. Idempotent."""


@dataclass(frozen=True, slots=True)
class AwaitTurn:
    """Say ``TurnCame`` once no other model is being validated."""

    ref: ReleaseRef


@dataclass(frozen=True, slots=True)
class Validate:
    """Try the release in a throw-away process; answer ``Proven``, ``Failed`` or ``Hindered``."""

    ref: ReleaseRef


@dataclass(frozen=True, slots=True)
class Shadow:
    """Run the release on copies of live frames; answer ``Agreed``, ``Failed`` or ``Hindered``.

    Attributes:
        ref: The candidate.
        frames: How many.
    """

    ref: ReleaseRef
    frames: int


@dataclass(frozen=True, slots=True)
class AwaitSwitch:
    """Say ``SwitchAllowed`` once the window is open and the set's mates wait too.

    Lanes may be started meanwhile; ``Failed`` if they cannot. Idempotent.
    """

    ref: ReleaseRef


@dataclass(frozen=True, slots=True)
class Load:
    """At the start of the process: check the bytes and serve them; answer ``ActiveBad`` if that fails.

    Attributes:
        ref: What to serve; None for the factory model.
    """

    ref: ReleaseRef | None


@dataclass(frozen=True, slots=True)
class Switch:
    """Let another release answer; answer ``Switched``, or ``Failed`` while the old one goes on.

    Attributes:
        to: What answers from now on.
        frm: What answers now and drains; None for the factory model.
    """

    to: ReleaseRef
    frm: ReleaseRef | None


@dataclass(frozen=True, slots=True)
class SwitchBack:
    """Let what served before answer; answer ``ActiveBad`` with ``to`` if it cannot.

    Attributes:
        to: What answers from now on; None for the factory model.
        frm: What ends; it may not be serving (it did not start, or is dead).
    """

    to: ReleaseRef | None
    frm: ReleaseRef


@dataclass(frozen=True, slots=True)
class Bake:
    """Watch the release that serves; answer ``BakeTick`` now and then, at last ``BakePassed`` or ``Failed``.

    Attributes:
        ref: What serves.
        baked_s: Seconds that count already.
        baked_requests: Requests that count already.
    """

    ref: ReleaseRef
    baked_s: float
    baked_requests: int


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Put the release into the quarantine, durably; answer ``Quarantined``. Idempotent.

    Attributes:
        ref: What failed.
        code: Label of the error.
        reason: The same in words.
    """

    ref: ReleaseRef
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """Tell whoever asks that this is not done; nothing changes.

    Attributes:
        ref: The release it is about; None if none in particular.
        code: Label of the error.
        reason: The same in words.
    """

    ref: ReleaseRef | None
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Collect:
    """Remove what no record needs any more."""


Action = (
    Fetch
    | CancelWork
    | AwaitTurn
    | Validate
    | Shadow
    | AwaitSwitch
    | Load
    | Switch
    | SwitchBack
    | Bake
    | Quarantine
    | Refuse
    | Collect
)
