"""Whether a board holds itself back, inferred from what it shows: Tegra has no register that says so. Pure.

Three signs count. A cooling device other than a fan that is at work means heat.
An alarm of a power monitor, or a count of such alarms that grew, means current.
And a GPU that is busy for several samples in a row below the highest clock of its
power mode is held down by something, even where nothing names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

THERMAL: Final = "thermal"
OVER_CURRENT: Final = "over-current"
POWER_LIMIT: Final = "power-limit"
CLOCK: Final = "clock"
CAUSES: Final = (THERMAL, OVER_CURRENT, POWER_LIMIT, CLOCK)

BUSY: Final = 0.9
FULL_CLOCK: Final = 0.95
SAMPLES: Final = 3
# These governors keep a low clock because somebody wants it.
DELIBERATE: Final = frozenset({"userspace", "powersave"})


@dataclass(frozen=True, slots=True)
class Signs:
    """What one sample saw.

    Attributes:
        load: Busy share of the GPU, 0 to 1; None if unknown.
        clock_hz: Its clock; None if unknown.
        max_clock_hz: Its highest clock in this power mode; None if unknown.
        governor: Who sets the clock; empty if unknown.
        cooling: Devices that slow something down now.
        alarms: Power rails that raise an alarm now.
        alarm_counts: Alarms by counter since the board started.
    """

    load: float | None = None
    clock_hz: float | None = None
    max_clock_hz: float | None = None
    governor: str = ""
    cooling: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()
    alarm_counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Before:
    """What is remembered from sample to sample.

    Attributes:
        slow_samples: Samples in a row at which the GPU was busy and slow.
        alarm_counts: The counters as they were.
    """

    slow_samples: int = 0
    alarm_counts: Mapping[str, int] = field(default_factory=dict)


def infer(before: Before, signs: Signs) -> tuple[Before, tuple[str, ...]]:
    """Return what to remember, and why the board is held back: some of ``CAUSES``, in their order."""
    slow_samples = min(before.slow_samples + 1, SAMPLES) if _is_slow(signs) else 0
    causes = []
    if signs.cooling:
        causes.append(THERMAL)
    if signs.alarms or _has_grown(before.alarm_counts, signs.alarm_counts):
        causes.append(OVER_CURRENT)
    if slow_samples >= SAMPLES:
        causes.append(CLOCK)
    return Before(slow_samples, dict(signs.alarm_counts)), tuple(causes)


def _is_slow(signs: Signs) -> bool:
    if signs.load is None or not signs.clock_hz or not signs.max_clock_hz or signs.governor in DELIBERATE:
        return False
    return signs.load >= BUSY and signs.clock_hz < FULL_CLOCK * signs.max_clock_hz


def _has_grown(before: Mapping[str, int], after: Mapping[str, int]) -> bool:
    """Say whether a counter grew that was there before: the first reading tells nothing of when."""
    return any(count > before.get(name, count) for name, count in after.items())
