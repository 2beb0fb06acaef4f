"""What this machine's processor can do: part of every key under which something made here is kept."""

from __future__ import annotations

import platform
from pathlib import Path


def machine() -> tuple[str, str]:
    """Return the architecture and the first processor's instruction sets."""
    return platform.machine(), _cpu_features()


def _cpu_features() -> str:
    """Return the line that x86 and arm64 name differently; empty if there is none."""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
            return next(
                (line.partition(":")[2].strip() for line in file if line.startswith(("flags", "Features"))),
                "",
            )
    except OSError:
        return ""
