"""Electric power by rail, from the monitors of a Jetson, and their alarms of too much current.

JetPack 4 has the INA3221 behind ``iio``, later ones behind ``hwmon``; Thor adds an
INA238 that measures the whole board.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from gateway.operations.kernel_text import names_in, number_or_none, text_or_none
from gateway.scaling.tegra_reading import Rails

_HWMON: Final = "/sys/class/hwmon"
_I2C: Final = "/sys/bus/i2c/devices"
_IIO: Final = ("/sys/bus/i2c/drivers/ina3221x", _I2C)
_WHOLE: Final = "VIN"
_NOT_CONNECTED: Final = "NC"
_SUM_CHANNEL: Final = 7  # the driver's own sum of voltages, not a rail
_CHANNEL: Final = re.compile(r"(?:in(\d{1,2})_label|rail_name_(\d{1,2}))", re.ASCII)
_ALARM: Final = re.compile(r"curr(\d{1,2})_(?:crit|max)_alarm", re.ASCII)
_EVENTS: Final = re.compile(r"oc\d{1,2}_event_cnt", re.ASCII)


def read_rails(prefix: str) -> Rails:
    """Return what all monitors say. Raises nothing."""
    watts: dict[str, float] = {}
    alarms: set[str] = set()
    counts: dict[str, int] = {}
    for folder in _monitors(prefix):
        names = names_in(folder)
        kind = text_or_none(f"{folder}/name") or ""
        if kind.startswith("ina3221"):
            watts.update(_channels(folder, names))
            alarms.update(_alarms(folder, names))
        elif kind == "ina238" and (micro_w := number_or_none(f"{folder}/power1_input")) is not None:
            watts[_WHOLE] = max(0, micro_w) / 1e6
        for name in names:
            if _EVENTS.fullmatch(name) and (count := number_or_none(f"{folder}/{name}")) is not None:
                counts[name.partition("_")[0]] = count
    if not watts:
        for folder in _iio_devices(prefix):
            watts.update(_channels(folder, names_in(folder)))
    return Rails(watts, tuple(sorted(alarms)), counts)


def _monitors(prefix: str) -> Iterator[str]:
    """Yield the folders of monitors: of the class, or where it is missing, of the devices."""
    if usual := names_in(prefix + _HWMON):
        yield from (f"{prefix}{_HWMON}/{name}" for name in usual)
        return
    for device in names_in(prefix + _I2C):
        folder = f"{prefix}{_I2C}/{device}/hwmon"
        yield from (f"{folder}/{name}" for name in names_in(folder))


def _iio_devices(prefix: str) -> Iterator[str]:
    for bus in _IIO:
        for device in names_in(prefix + bus):
            folder = f"{prefix}{bus}/{device}"
            yield from (f"{folder}/{name}" for name in names_in(folder) if name.startswith("iio:device"))


def _channels(folder: str, names: tuple[str, ...]) -> Iterator[tuple[str, float]]:
    """Yield watts by rail; milliwatts where the driver multiplies, else millivolts times milliamperes."""
    for name in names:
        found = _CHANNEL.fullmatch(name)
        if found is None or found[1] == str(_SUM_CHANNEL):
            continue
        rail = (text_or_none(f"{folder}/{name}") or _NOT_CONNECTED)[:64]
        if rail == _NOT_CONNECTED:
            continue
        if found[2] is not None:
            milli_w = number_or_none(f"{folder}/in_power{found[2]}_input")
            watts = None if milli_w is None else milli_w / 1e3
        else:
            milli_v = number_or_none(f"{folder}/in{found[1]}_input")
            milli_a = number_or_none(f"{folder}/curr{found[1]}_input")
            watts = None if milli_v is None or milli_a is None else milli_v * milli_a / 1e6
        if watts is not None:
            yield rail, max(0.0, watts)


def _alarms(folder: str, names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        found = _ALARM.fullmatch(name)
        if found is not None and number_or_none(f"{folder}/{name}"):
            yield (text_or_none(f"{folder}/in{found[1]}_label") or name)[:64]
