"""What a board's report says of one release: not begun, on its way, watched, committed, or failed. Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.updates.assignment import Assignment
from gateway.updates.reported import Reported
from gateway.updates.selection import Choice, judge_assigned

_BAKING: Final = "baking"
_IDLE: Final = "idle"
# The board tries these again by itself.
_RETRIED: Final = frozenset(
    {
        "update.fetch",
        "update.disk_full",
        "update.store",
        "update.busy",
        "update.conflict",
        "update.stale",
    }
)


class Standing(enum.Enum):
    """How far a release is on one board."""

    NOT_BEGUN = "not begun"
    COMING = "coming"
    BAKING = "baking"
    COMMITTED = "committed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Seen:
    """How far a release is on one board, and what else is known.

    Attributes:
        standing: How far.
        words: More about it, for people; may be empty.
    """

    standing: Standing
    words: str = ""


def seen(report: Reported, model: str, release: int) -> Seen:
    """Say how far a release is on a board.

    Args:
        report: The board's report.
        model: Name of the model.
        release: The release counter.
    """
    held = report.models.get(model)
    if held is None:
        return Seen(Standing.NOT_BEGUN, "has no such model")
    error = held.last_error
    told = f"{error.code} {error.stage}: {error.detail}".strip(": ") if error else ""
    if held.active is not None and held.active.release == release:
        if held.phase == _BAKING:
            return Seen(Standing.BAKING)
        if not held.active.answering:
            return Seen(Standing.BAKING, "active, but it does not answer")
        return Seen(Standing.COMMITTED, f"mapped and answering, manifest {held.active.digest[:12]}")
    if release in held.quarantined:
        return Seen(Standing.FAILED, told or "in quarantine")
    if held.candidate is not None and held.candidate.release == release and held.phase != _IDLE:
        done = f" {held.candidate.percent:.0f} %" if 0 < held.candidate.percent < 100 else ""
        return Seen(Standing.COMING, f"{held.candidate.phase or held.phase}{done}")
    if error is not None and error.release == release:
        retried = error.code in _RETRIED
        return (
            Seen(Standing.COMING, f"will be tried again: {told}") if retried else Seen(Standing.FAILED, told)
        )
    return Seen(Standing.NOT_BEGUN, told)


@dataclass(frozen=True, slots=True)
class Counts:
    """Where a release stands in a group.

    Attributes:
        selected: Boards that are there, have the model, and are meant.
        committed: Those on which it was committed.
        failed: Those that refused it or rolled it back.
    """

    selected: int = 0
    committed: int = 0
    failed: int = 0

    @property
    def finished(self) -> int:
        """Boards on which nothing more will happen."""
        return self.committed + self.failed


def meant(
    assignment: Assignment, model: str, reports: Iterable[Reported], now_unix_s: float
) -> tuple[Reported, ...]:
    """Return the boards that an assignment means now and that have the model, in the order of their names.

    Boards that only wait for their window are meant; boards that are paused, outside the percentage
    or too early are not.
    """
    chosen = []
    for report in reports:
        if report.group != assignment.group or model not in report.models:
            continue
        selection = judge_assigned(assignment, report.device, model, now_unix_s, None)
        if selection is not None and selection.choice in (Choice.SELECTED, Choice.OUTSIDE_WINDOW):
            chosen.append(report)
    return tuple(sorted(chosen, key=lambda report: report.device))


def count(reports: Iterable[Reported], wanted: Mapping[str, int]) -> Counts:
    """Count boards: committed if all wanted releases are, failed if one is.

    Args:
        reports: Boards that are meant.
        wanted: Releases by model.
    """
    selected = committed = failed = 0
    for report in reports:
        standings = [seen(report, model, release).standing for model, release in wanted.items()]
        selected += 1
        failed += Standing.FAILED in standings
        committed += all(standing is Standing.COMMITTED for standing in standings)
    return Counts(selected, committed, failed)
