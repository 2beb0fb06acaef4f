"""What this board is called: read when asked, never remembered."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import Final

_ROOT: Final = Path("/")


def hardware_names(root: Path = _ROOT) -> tuple[str, ...]:
    """Return the names that a release may ask for: the processor's and those of the device tree.

    Hyphens stand for commas: a Jetson Nano says ``aarch64``, ``nvidia-p3450-0000`` and more.
    """
    names = [platform.machine()]
    try:
        compatible = (root / "proc/device-tree/compatible").read_bytes()[:4096]
    except OSError:
        compatible = b""
    for word in compatible.decode("ascii", "replace").split("\0"):
        name = re.sub(r"[^A-Za-z0-9._-]", "-", word)
        if name and name not in names:
            names.append(name)
    return tuple(names)
