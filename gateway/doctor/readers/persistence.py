"""Reads out of mosquitto's own configuration whether it keeps retained messages across a restart."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gateway.doctor.readers.text import read_text

_DEFAULT_PORT: Final = 1883
_MOST_FILES: Final = 100
_YES: Final = frozenset({"true", "1", "yes"})


def keeps_retained(root: Path, port: int) -> bool | None:
    """Return what this machine's mosquitto is told to do; None if the broker at ``port`` is another one.

    Args:
        root: Where ``/`` is.
        port: Where the broker was reached on this machine.
    """
    main = root / "etc/mosquitto/mosquitto.conf"
    if not os.access(main, os.R_OK):
        return None
    keeps, ports = False, set()
    for key, value in _lines(root, main, set()):
        if key == "persistence":
            keeps = value.lower() in _YES
        elif key in {"listener", "port"}:
            ports.add(value.split()[0])
    return keeps if str(port) in (ports or {str(_DEFAULT_PORT)}) else None


def _lines(root: Path, file: Path, seen: set[Path]) -> Iterator[tuple[str, str]]:
    """Yield key and value of each line, those of included folders where they are included; no file twice."""
    if file in seen or len(seen) > _MOST_FILES:
        return
    seen.add(file)
    for line in read_text(file).splitlines():
        key, _, value = line.strip().partition(" ")
        value = value.strip()
        if key.startswith("#") or not value:
            continue
        if key == "include_dir":
            for each in sorted((root / value.lstrip("/")).glob("*.conf")):
                yield from _lines(root, each, seen)
        else:
            yield key, value
