"""One thing that was found: how bad it is, what, why it matters, and what mends it. Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.doctor.checks import group_of

Value = str | float | bool | None
Figures = dict[str, Value]


class Verdict(enum.Enum):
    """How bad a finding is; the later, the worse."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    PROBLEM = "problem"


_RANK: Final = {verdict: rank for rank, verdict in enumerate(Verdict)}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; made by ``ok``, ``note``, ``warning`` and ``problem``.

    Attributes:
        check: Which check says it; a key of ``CHECKS``.
        verdict: How bad it is.
        what: What is so.
        why: Why that matters, in one clause; empty where all is well.
        mend: Lines to type, or to set in the configuration; empty where nothing has to be mended.
        values: The same in figures, for programs.
    """

    check: str
    verdict: Verdict
    what: str
    why: str = ""
    mend: tuple[str, ...] = ()
    values: Mapping[str, Value] = field(default_factory=dict)

    @property
    def group(self) -> str:
        """The group of its check."""
        return group_of(self.check)


def ok(check: str, what: str, /, **values: Value) -> Finding:
    """Return the finding that all is well."""
    return Finding(check, Verdict.OK, what, values=values)


def note(check: str, what: str, why: str, /, *mend: str, **values: Value) -> Finding:
    """Return a finding that is good to know; nothing has to be done about it."""
    return Finding(check, Verdict.NOTE, what, why, mend, values)


def warning(check: str, what: str, why: str, mend: str, /, *more: str, **values: Value) -> Finding:
    """Return a finding that will hurt some day, or costs something now."""
    return Finding(check, Verdict.WARNING, what, why, (mend, *more), values)


def problem(check: str, what: str, why: str, mend: str, /, *more: str, **values: Value) -> Finding:
    """Return a finding that keeps the gateway from its work."""
    return Finding(check, Verdict.PROBLEM, what, why, (mend, *more), values)


def worst(findings: Iterable[Finding]) -> Verdict:
    """Return the worst verdict; OK if there is no finding."""
    return max((each.verdict for each in findings), key=_RANK.__getitem__, default=Verdict.OK)


def counts(findings: Iterable[Finding]) -> dict[str, int]:
    """Return how many findings there are of each verdict, none left out."""
    verdicts = [each.verdict for each in findings]
    return {verdict.value: verdicts.count(verdict) for verdict in Verdict}
