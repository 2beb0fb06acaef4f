"""What the doctor says of the clock. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Final

from gateway.doctor.finding import Finding, ok, problem, warning

# Nothing of this gateway is older; boards without a battery start in 1970, 2000 or 2018.
_LEAST_YEAR: Final = 2025
_MOST_YEAR: Final = 2100


@dataclass(frozen=True, slots=True)
class ClockFacts:
    """What was read of the clock.

    Attributes:
        now_s: Seconds since 1970.
        synchronised: Whether the kernel says that somebody keeps it right; None if it does not say.
    """

    now_s: float
    synchronised: bool | None


def judge_clock(facts: ClockFacts) -> Iterator[Finding]:
    """Yield what is to be said of the clock."""
    now = datetime.fromtimestamp(facts.now_s, timezone.utc)
    mend = (
        "sudo timedatectl set-ntp true",
        f"or: sudo date -u -s 'YYYY-MM-DD HH:MM'  # it says {now:%Y-%m-%d %H:%M}",
    )
    if _LEAST_YEAR <= now.year <= _MOST_YEAR:
        yield ok("clock.year", f"{now:%Y-%m-%d %H:%M} UTC", now_s=facts.now_s)
    else:
        yield problem(
            "clock.year",
            f"the clock says {now:%Y-%m-%d %H:%M} UTC",
            "certificates and signed releases seem not yet valid, or expired",
            *mend,
            now_s=facts.now_s,
        )
    if facts.synchronised:
        yield ok("clock.synchronised", "the clock is synchronised", synchronised=True)
    elif facts.synchronised is None:
        yield ok("clock.synchronised", "this system does not tell whether its clock is synchronised")
    else:
        yield warning(
            "clock.synchronised",
            "nobody keeps the clock right",
            "times in results drift; certificates and releases are checked against it",
            mend[0],
            synchronised=False,
        )
