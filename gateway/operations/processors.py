"""How many processors this process may use: those it is bound to, within its control group's quota."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Final

_ROOT: Final = Path("/")


def processor_count(root: Path = _ROOT) -> int:
    """Return the number of processors that can be busy for us at once; at least 1. Raises nothing."""
    bound = len(os.sched_getaffinity(0))
    quota = _quota(root)
    return max(1, bound if quota is None else min(bound, math.ceil(quota)))


def _quota(root: Path) -> float | None:
    """Return the processors that our own control group may use, in version 2 or 1; None without a limit."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        inner = path.strip("/")
        if number == "0" and not controllers:
            words = _read(root / "sys/fs/cgroup" / inner / "cpu.max").split()
        elif "cpu" in controllers.split(","):
            folder = root / "sys/fs/cgroup/cpu" / inner
            words = [_read(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
        else:
            continue
        if len(words) == 2 and all(word.isdigit() for word in words) and int(words[1]) > 0:
            return int(words[0]) / int(words[1])
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
