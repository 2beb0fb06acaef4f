"""Temperatures by zone, and what slows the board down to cool it."""

from __future__ import annotations

import re
from typing import Final

from gateway.operations.kernel_text import names_in, number_or_none, text_or_none

_FOLDERS: Final = ("/sys/class/thermal", "/sys/devices/virtual/thermal")
# A block without power answers with an error, or with a number such as -256000.
_LEAST_C: Final = -100.0
_MOST_C: Final = 1000.0
# What slows something down. A fan that turns, a charger or a mere warning does not.
_BRAKE: Final = re.compile(r"throttle|balanced|heavy|critical|cpufreq|devfreq|^Processor$|powerclamp")


def read_temperatures(prefix: str) -> dict[str, float]:
    """Return degrees Celsius by zone. Zones that are switched off are absent. Raises nothing."""
    found: dict[str, float] = {}
    folder = _folder(prefix)
    for name in names_in(folder):
        if not name.startswith("thermal_zone"):
            continue
        milli = number_or_none(f"{folder}/{name}/temp")
        if milli is None or not _LEAST_C < milli / 1000 < _MOST_C:
            continue
        kind = (text_or_none(f"{folder}/{name}/type") or name)[:64]
        found[kind if kind not in found else f"{kind} {name.removeprefix('thermal_zone')}"] = milli / 1000
    return found


def read_brakes(prefix: str) -> tuple[str, ...]:
    """Return the cooling devices that slow something down now. Raises nothing."""
    folder = _folder(prefix)
    active = []
    for name in names_in(folder):
        if name.startswith("cooling_device") and (number_or_none(f"{folder}/{name}/cur_state") or 0) > 0:
            kind = text_or_none(f"{folder}/{name}/type") or ""
            if _BRAKE.search(kind):
                active.append(kind[:64])
    return tuple(active)


def _folder(prefix: str) -> str:
    usual, other = (prefix + folder for folder in _FOLDERS)
    return usual if names_in(usual) else other
