"""What the kernel's files say of pressure, swapping and busy processors. Pure parsers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_PRESSURE: Final = re.compile(r"^(some|full) avg10=(\d{1,3}\.\d{1,4}) ", re.ASCII | re.MULTILINE)
_COUNT: Final = re.compile(r"^(pswpin|pswpout|oom_kill) (\d{1,19})$", re.ASCII | re.MULTILINE)
# user, nice, system, idle, iowait, irq, softirq, steal; guests are part of user.
_TIMES: Final = re.compile(r"^cpu((?: +\d{1,18}){4,8})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Stall:
    """Shares of time in which memory was waited for, 0 to 1, over ten seconds.

    Attributes:
        some: By something.
        full: By everything; None where the kernel does not tell it.
    """

    some: float
    full: float | None


@dataclass(frozen=True, slots=True)
class MachineCounts:
    """Numbers since the machine started; None where the kernel does not tell them.

    Attributes:
        swapped_pages: Pages swapped in and out.
        oom_kills: Processes killed for memory, in any group.
    """

    swapped_pages: int | None = None
    oom_kills: int | None = None


@dataclass(frozen=True, slots=True)
class ProcessorTimes:
    """Ticks of all processors together since the machine started."""

    busy: int
    total: int


def parse_stall(text: str) -> Stall | None:
    """Return what a pressure file says; None if it says nothing."""
    shares = {kind: min(1.0, float(percent) / 100) for kind, percent in _PRESSURE.findall(text)}
    return Stall(shares["some"], shares.get("full")) if "some" in shares else None


def worst(stalls: list[Stall]) -> Stall | None:
    """Return the greatest shares of several; None of none."""
    if not stalls:
        return None
    fulls = [stall.full for stall in stalls if stall.full is not None]
    return Stall(max(stall.some for stall in stalls), max(fulls, default=None))


def parse_machine_counts(text: str) -> MachineCounts:
    """Return what ``/proc/vmstat`` counts."""
    counts = {name: int(number) for name, number in _COUNT.findall(text)}
    swapped = counts["pswpin"] + counts["pswpout"] if "pswpin" in counts and "pswpout" in counts else None
    return MachineCounts(swapped, counts.get("oom_kill"))


def parse_processor_times(text: str) -> ProcessorTimes | None:
    """Return what ``/proc/stat`` says of all processors; None if it says nothing."""
    found = _TIMES.match(text)
    if found is None:
        return None
    ticks = [int(number) for number in found[1].split()]
    total = sum(ticks)
    return ProcessorTimes(total - sum(ticks[3:5]), total)


def busy_share(before: ProcessorTimes | None, after: ProcessorTimes | None) -> float | None:
    """Return the busy share between two readings, 0 to 1; None if there is no time between them."""
    if before is None or after is None or after.total <= before.total:
        return None
    return min(1.0, max(0.0, (after.busy - before.busy) / (after.total - before.total)))


def grown(before: int | None, after: int | None) -> int | None:
    """Return by how much a count grew; None if one of both is unknown. A count that fell began anew."""
    if before is None or after is None:
        return None
    return after - before if after >= before else after
