"""One sample of what a board has and does: memory by device, pressure, load, clocks, heat, power. Values.

Nothing here is remembered: every sample says where its numbers come from and why
they come from there, and what is not known is None, never 0.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

HOST = "host"


class Source(enum.Enum):
    """Where a memory number comes from."""

    MEMINFO = "meminfo"
    CGROUP = "cgroup"
    NVML = "nvml"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """The memory of the board, or of a graphics processor that has its own.

    Attributes:
        device: ``host``, or ``gpu0``, ``gpu1`` ... for memory of its own.
        source: Where the numbers come from.
        reason: Why from there, in words: ``the GPU shares the board's memory`` ...
        total_bytes: All of it, or the control group's limit if that is less; above 0.
        available_bytes: What can still be allocated without swapping or being killed.
        page_cache_bytes: Part of what is available that holds files now; None if unknown.
        swap_used_bytes: Swapped out; never counted as memory. None if unknown.
    """

    device: str
    source: Source
    reason: str
    total_bytes: int
    available_bytes: int
    page_cache_bytes: int | None = None
    swap_used_bytes: int | None = None

    @property
    def used_ratio(self) -> float:
        """Share of the memory that cannot be had any more, 0 to 1."""
        return min(1.0, max(0.0, 1.0 - self.available_bytes / self.total_bytes))


@dataclass(frozen=True, slots=True)
class Pressure:
    """Signs that memory is short, whatever the numbers say.

    Attributes:
        source: ``psi``, ``vmstat`` or ``none``.
        some: Share of time in which something waited for memory, 0 to 1, over ten seconds; None if unknown.
        full: Share of time in which everything waited for memory; None if unknown.
        swapped_pages: Pages swapped in or out since the last sample; None if unknown.
        oom_kills: Processes killed for memory, machine or group, since the last sample; None if unknown.
    """

    source: str = "none"
    some: float | None = None
    full: float | None = None
    swapped_pages: int | None = None
    oom_kills: int | None = None


@dataclass(frozen=True, slots=True)
class GpuReading:
    """What one graphics processor does; each field is None where nothing says it.

    Attributes:
        device: ``gpu0``, ``gpu1`` ...
        name: As the driver or the device tree calls it.
        uuid: As NVML gives it; empty on boards without one.
        integrated: Whether it shares the board's memory.
        load: Busy share, 0 to 1.
        clock_hz: Clock now.
        max_clock_hz: Highest clock that the power mode allows.
        power_w: Electric power.
        temperature_c: Of the processor.
        processes_bytes: Memory by process id, where a driver tells.
        held_bytes: The board's memory that the driver holds for it; for information, part of what is used.
    """

    device: str
    name: str
    uuid: str = ""
    integrated: bool = True
    load: float | None = None
    clock_hz: float | None = None
    max_clock_hz: float | None = None
    power_w: float | None = None
    temperature_c: float | None = None
    processes_bytes: Mapping[int, int] = field(default_factory=dict)
    held_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class BoardReading:
    """What is known of the board besides memory.

    Attributes:
        model: As the device tree names it; empty on machines without one.
        power_mode: Name of nvpmodel's mode; empty if unknown.
        processors_busy: Busy share of all processors since the last sample, 0 to 1; None at the first.
        temperatures_c: By zone; zones that are switched off are absent.
        rails_w: Electric power by rail.
        power_w: Electric power of the whole board; None if unknown.
        throttled: Why it is held back, inferred: ``thermal``, ``over-current`` ...; empty if it is not.
        gpus: Its graphics processors.
    """

    model: str = ""
    power_mode: str = ""
    processors_busy: float | None = None
    temperatures_c: Mapping[str, float] = field(default_factory=dict)
    rails_w: Mapping[str, float] = field(default_factory=dict)
    power_w: float | None = None
    throttled: tuple[str, ...] = ()
    gpus: tuple[GpuReading, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """Everything read at one moment.

    Attributes:
        at_s: When, monotonic seconds.
        memory: By device; ``host`` is always there, unless nothing tells of memory at all.
        pressure: Signs of shortage.
        board: The rest.
        troubles: What could not be read and why, in words; for the log.
    """

    at_s: float
    memory: Mapping[str, DeviceMemory]
    pressure: Pressure = field(default_factory=Pressure)
    board: BoardReading = field(default_factory=BoardReading)
    troubles: tuple[str, ...] = ()


class Telemetry(Protocol):
    """Whoever reads samples; implemented by ``gateway.scaling.telemetry``."""

    def latest(self) -> Sample | None:
        """Return the newest sample; None before the first. Never waits."""
        ...
