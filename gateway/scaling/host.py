"""Probe of the machine: memory, control groups, pressure, swapping, kills and busy processors."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.operations.kernel_text import text_or_none
from gateway.operations.memory import read_memory
from gateway.operations.memory_groups import (
    Membership,
    pressure_files,
    read_group_kills,
    read_membership,
)
from gateway.operations.memory_left import HostMemory
from gateway.scaling.host_text import (
    MachineCounts,
    ProcessorTimes,
    busy_share,
    grown,
    parse_machine_counts,
    parse_processor_times,
    parse_stall,
    worst,
)
from gateway.scaling.sample import Pressure

_ROOT: Final = Path("/")


@dataclass(frozen=True, slots=True)
class HostReading:
    """What the machine says of itself.

    Attributes:
        memory: What is left to us; None if nothing tells.
        pressure: Signs of shortage.
        processors_busy: Busy share since the last reading, 0 to 1; None at the first.
    """

    memory: HostMemory | None = None
    pressure: Pressure = field(default_factory=Pressure)
    processors_busy: float | None = None


@dataclass(frozen=True, slots=True)
class _Counts:
    """What only grows, as it was at one reading."""

    machine: MachineCounts = field(default_factory=MachineCounts)
    group_kills: int | None = None
    processors: ProcessorTimes | None = None
    member: Membership = field(default_factory=Membership)


class HostProbe:
    """Reads the machine below a root; remembers only what it needs to tell how much counts grew."""

    def __init__(self, root: Path = _ROOT) -> None:
        self._root = root
        self._prefix = str(root).rstrip("/")
        self._last = _Counts()

    def read(self) -> HostReading:
        """Return what the machine says now. Raises nothing; what is not told is None."""
        prefix = self._prefix
        member = read_membership(prefix)
        now = _Counts(
            parse_machine_counts(text_or_none(f"{prefix}/proc/vmstat") or ""),
            read_group_kills(prefix, member),
            parse_processor_times((text_or_none(f"{prefix}/proc/stat") or "")[:400]),
            member,
        )
        last, self._last = self._last, now
        return HostReading(
            read_memory(self._root),
            self._pressure(last, now),
            busy_share(last.processors, now.processors),
        )

    def close(self) -> None:
        """Do nothing: no file is kept open."""

    def _pressure(self, last: _Counts, now: _Counts) -> Pressure:
        texts = (text_or_none(path) for path in pressure_files(self._prefix, now.member))
        stall = worst([stall for text in texts if text and (stall := parse_stall(text)) is not None])
        swapped = grown(last.machine.swapped_pages, now.machine.swapped_pages)
        counted = now.machine.swapped_pages is not None
        return Pressure(
            source="psi" if stall is not None else "vmstat" if counted else "none",
            some=stall.some if stall is not None else None,
            full=stall.full if stall is not None else None,
            swapped_pages=swapped,
            oom_kills=_kills(last, now),
        )


def _kills(last: _Counts, now: _Counts) -> int | None:
    """Return the kills since the last reading: those of our own group, where it counts them.

    The machine counts every container's, and one that runs into its own limit again and again is no
    sign that we are short of memory.
    """
    if now.group_kills is not None:
        same = last.member == now.member
        return grown(last.group_kills, now.group_kills) if same else None
    return grown(last.machine.oom_kills, now.machine.oom_kills)
