"""Reads power mode, clocks and thermal zones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gateway.doctor.readers.text import Run, read_number, read_text
from gateway.doctor.rules.power import Clock, PowerFacts, Zone
from gateway.scaling.power_mode import parse_modes
from gateway.scaling.sample import Sample

_GPU_NAMES: Final = ("gpu", "gv11b", "gp10b", "ga10b", "gb10b")
_HOLDS_BACK: Final = frozenset({"passive", "hot"})
_MILLI: Final = 1000.0
_KILO: Final = 1000.0


def read_power(root: Path, run: Run, sample: Sample, *, jetson: bool) -> PowerFacts:
    """Read the facts of power, clocks and heat.

    Args:
        root: Where ``/`` is.
        run: Asks ``nvpmodel``.
        sample: What the gateway's telemetry says now.
        jetson: Whether this is a Jetson.
    """
    return PowerFacts(
        jetson=jetson,
        mode=power_mode(run, sample.board.power_mode),
        modes=power_modes(root),
        clocks=clocks(root),
        throttled=held_back(root, sample.board.throttled),
        zones=zones(root),
    )


def power_modes(root: Path) -> dict[int, str]:
    """Return every mode that ``nvpmodel`` is configured with, by number."""
    return parse_modes(read_text(root / "etc/nvpmodel.conf"))


def power_mode(run: Run, told: str) -> str:
    """Return the name of the mode, as ``nvpmodel`` says, or else telemetry; empty if neither does."""
    found = re.search(r"NV Power Mode:\s*(\S+)", run(("nvpmodel", "-q")) or "")
    return found[1] if found else told


def clocks(root: Path) -> tuple[Clock, ...]:
    """Return the clocks of the GPU and of the processors' clusters."""
    return (*_gpu_clocks(root), *_processor_clocks(root))


def held_back(root: Path, told: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return what holds the board back now; None if nothing here could tell.

    Args:
        root: Where ``/`` is.
        told: What the gateway's telemetry says, which sees more than one moment.
    """
    coolers = [folder for folder in (root / "sys/class/thermal").glob("cooling_device*") if _slows(folder)]
    alarms = list((root / "sys/class/hwmon").glob("hwmon*/curr*_crit_alarm"))
    if not coolers and not alarms and not told:
        return None
    found = set(told)
    if any((read_number(folder / "cur_state") or 0) > 0 for folder in coolers):
        found.add("thermal")
    if any((read_number(alarm) or 0) > 0 for alarm in alarms):
        found.add("over-current")
    return tuple(sorted(found))


def _slows(cooler: Path) -> bool:
    """Say whether a cooling device works by slowing something down: a fan that turns holds nobody back."""
    return "fan" not in read_text(cooler / "type").lower()


def zones(root: Path) -> tuple[Zone, ...]:
    """Return the thermal zones that are on; reading that of a block without power fails."""
    found = []
    for folder in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        now = read_number(folder / "temp")
        name = read_text(folder / "type").strip()
        if now is not None and name:
            found.append(Zone(name, now / _MILLI, _limit(folder)))
    return tuple(found)


def _limit(folder: Path) -> float | None:
    """Return where a zone begins to hold the board back; None if it never does."""
    limits = [
        limit / _MILLI
        for kind in folder.glob("trip_point_*_type")
        if read_text(kind).strip() in _HOLDS_BACK
        and (limit := read_number(kind.with_name(kind.name.replace("_type", "_temp")))) is not None
        and limit > 0  # zones that merely could have a limit say 0 or less
    ]
    return min(limits, default=None)


def _gpu_clocks(root: Path) -> Iterator[Clock]:
    for folder in sorted((root / "sys/class/devfreq").glob("*")):
        tree_name = read_text(folder / "device/of_node/name").strip("\0\n ")
        if tree_name in _GPU_NAMES or folder.name.startswith("gpu-"):
            yield from _clock("gpu", folder, ("min_freq", "cur_freq", "max_freq"), 1.0)


def _processor_clocks(root: Path) -> Iterator[Clock]:
    seen = set()
    for folder in sorted((root / "sys/devices/system/cpu/cpufreq").glob("policy*")):
        names = ("scaling_min_freq", "scaling_cur_freq", "scaling_max_freq")
        for clock in _clock(folder.name.replace("policy", "cpu"), folder, names, _KILO):
            kind = (clock.min_hz, clock.max_hz)
            if kind not in seen:  # clusters of one kind are told once
                seen.add(kind)
                yield clock


def _clock(name: str, folder: Path, files: tuple[str, str, str], unit: float) -> Iterator[Clock]:
    lowest, now, highest = (read_number(folder / file) for file in files)
    if lowest is not None and now is not None and highest is not None:
        yield Clock(name, lowest * unit, now * unit, highest * unit)
