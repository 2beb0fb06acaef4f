"""The power mode of a Jetson by name, out of the files that ``nvpmodel`` keeps: no root, no program."""

from __future__ import annotations

import os
import re
from typing import Final

from gateway.operations.kernel_text import text_or_none

_STATUS: Final = "/var/lib/nvpmodel/status"
_MODES: Final = "/etc/nvpmodel.conf"
_NUMBER: Final = re.compile(r"^\s{0,8}pmode:(\d{1,4})\b", re.ASCII | re.MULTILINE)
_MODE: Final = re.compile(
    r"^\s{0,8}<\s{0,8}POWER_MODEL\s{1,8}ID=(\d{1,4})\s{1,8}NAME=([^\s>]{1,64})\s{0,8}>",
    re.ASCII | re.MULTILINE,
)

_Stamp = tuple[int, int, int] | None


def parse_status(text: str) -> int | None:
    """Return the number of the mode in force (``pmode:0002 fmode:quiet``); None if it is not told. Pure."""
    found = _NUMBER.search(text)
    return int(found[1]) if found is not None else None


def parse_modes(text: str) -> dict[int, str]:
    """Return the names of a board's modes by number. Pure."""
    return {int(number): name for number, name in _MODE.findall(text)}


class PowerMode:
    """The mode's name; the files are read again only when one of them changes."""

    def __init__(self, prefix: str) -> None:
        self._paths = (prefix + _STATUS, prefix + _MODES)
        self._stamps: tuple[_Stamp, _Stamp] | None = None
        self._name = ""

    def read(self) -> str:
        """Return the name, the number where no name is known, or nothing. Raises nothing."""
        status, modes = self._paths
        stamps = _stamp(status), _stamp(modes)
        if stamps != self._stamps:
            self._stamps = stamps
            number = parse_status(text_or_none(status) or "")
            names = parse_modes(text_or_none(modes) or "") if number is not None else {}
            self._name = "" if number is None else names.get(number, str(number))
        return self._name


def _stamp(path: str) -> _Stamp:
    try:
        status = os.stat(path)  # noqa: PTH116 - no path object is made at every sample
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
