"""What a board shows of itself at one moment, besides memory: values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

# Rails that carry everything: the board's input.
_TOTALS: Final = ("VDD_IN", "POM_5V_IN", "VIN")


@dataclass(frozen=True, slots=True)
class DevfreqGpu:
    """What sysfs shows of the integrated GPU; None where it shows nothing.

    Attributes:
        load: Busy share, 0 to 1.
        clock_hz: Clock now.
        max_clock_hz: Highest that the power mode allows.
        governor: Who sets the clock; empty if unknown.
    """

    load: float | None = None
    clock_hz: float | None = None
    max_clock_hz: float | None = None
    governor: str = ""


@dataclass(frozen=True, slots=True)
class Rails:
    """What the power monitors say.

    Attributes:
        watts: By rail; rails that are not connected are absent.
        alarms: Rails that raise an alarm now.
        alarm_counts: Alarms by counter since the board started.
    """

    watts: Mapping[str, float] = field(default_factory=dict)
    alarms: tuple[str, ...] = ()
    alarm_counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TegraReading:
    """What the board shows.

    Attributes:
        is_tegra: Whether it is a Jetson, as NVIDIA's own programs find out.
        model: As the device tree names it; empty without one.
        power_mode: Name of nvpmodel's mode; empty if unknown.
        temperatures_c: By zone.
        brakes: Cooling devices that slow something down now.
        rails: What its power monitors say.
        gpu: Its integrated GPU; None if nothing shows one.
    """

    is_tegra: bool = False
    model: str = ""
    power_mode: str = ""
    temperatures_c: Mapping[str, float] = field(default_factory=dict)
    brakes: tuple[str, ...] = ()
    rails: Rails = field(default_factory=Rails)
    gpu: DevfreqGpu | None = None


def total_w(watts: Mapping[str, float]) -> float | None:
    """Return the power of the whole board: its input rail, or all rails together; None without rails."""
    for name in _TOTALS:
        if name in watts:
            return watts[name]
    return sum(watts.values()) if watts else None


def gpu_w(watts: Mapping[str, float]) -> float | None:
    """Return the power of a rail that feeds the GPU and no processor; None if there is none."""
    return next((power for name, power in watts.items() if "GPU" in name and "CPU" not in name), None)
