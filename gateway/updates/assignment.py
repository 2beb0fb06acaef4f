"""What a group of boards should run: the signed assignment, and whether it means this board now. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

MOST_ASSIGNMENT_BYTES: Final = 256 << 10
BUCKETS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Window:
    """A span of every day, in UTC; it may run over midnight.

    Attributes:
        start_minute: Minutes after midnight at which it opens.
        end_minute: Minutes after midnight at which it closes; equal to the start for the whole day.
    """

    start_minute: int
    end_minute: int


@dataclass(frozen=True, slots=True)
class Wish:
    """What one model of the group should run.

    Attributes:
        release: Release counter.
        percent: Share of the boards that follow, 0 to 100, in hundredths.
        seed: Mixed into the buckets, so that not the same boards are always first.
        canary: Device ids that follow whatever the percent.
        not_before: Unix seconds before which nobody switches; 0 for at once.
        window: When a switch may happen; None for any time.
        paused: True if boards that have not switched yet shall wait.
        shadow_frames: Live frames on which the release runs beside what serves before the switch; 0 for none.
        shadow_agreement: Least share of them on which both agree, 0 to 1.
        bake_s: Seconds of watched service before the release is committed; None for the board's own.
        allow_downgrade: True if the release may be older than what was committed here.
    """

    release: int
    percent: float = 100.0
    seed: str = ""
    canary: tuple[str, ...] = ()
    not_before: int = 0
    window: Window | None = None
    paused: bool = False
    shadow_frames: int = 0
    shadow_agreement: float = 0.9
    bake_s: float | None = None
    allow_downgrade: bool = False


@dataclass(frozen=True, slots=True)
class Assignment:
    """The wishes for one group.

    Attributes:
        group: Name of the group.
        version: Rises with every change; the greatest signed one counts.
        models: Wishes by model.
        sets: Models that switch together or not at all.
    """

    group: str
    version: int
    models: Mapping[str, Wish] = field(default_factory=dict)
    sets: tuple[tuple[str, ...], ...] = ()
