"""What a check of the store finds, and what would mend it. Pure."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

Act = Callable[[], object]


class Severity(enum.Enum):
    """How bad a finding is."""

    NOTICE = "notice"
    DAMAGE = "damage"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        path: Where, below the store's folder; ``.`` for the folder itself.
        severity: ``damage`` if something is lost, changed or dangerous; else ``notice``.
        problem: What is wrong.
        remedy: What mends it.
        mended: True if that was done.
        release: Name and number of the release that suffers, such as ``door 3``; empty for none.
    """

    path: str
    severity: Severity
    problem: str
    remedy: str
    mended: bool = False
    release: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """A finding with the act that mends it.

    Attributes:
        finding: What is wrong.
        mend: Does what the remedy says; None if nothing can be done here.
    """

    finding: Finding
    mend: Act | None = None
