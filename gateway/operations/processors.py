"""How many processors this process may use: those it is bound to, within its control group's quota."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Final

from gateway.operations.kernel_text import text_or_none, whole_number
from gateway.operations.memory_groups import group_folders, read_membership

_ROOT: Final = Path("/")
_V1: Final = "/sys/fs/cgroup/cpu"
_V2: Final = "/sys/fs/cgroup"


def processor_count(root: Path = _ROOT) -> int:
    """Return the number of processors that can be busy for us at once; at least 1. Raises nothing."""
    bound = len(os.sched_getaffinity(0))
    quota = _quota(str(root).rstrip("/"))
    return max(1, bound if quota is None else min(bound, math.ceil(quota)))


def _quota(prefix: str) -> float | None:
    """Return the processors that our own control group may use, in version 2 or 1; None without a limit."""
    member = read_membership(prefix, "cpu")
    if member.v2 is not None:
        folder = group_folders(prefix + _V2, member.v2)[0]
        quota, _, period = (text_or_none(f"{folder}/cpu.max") or "").partition(" ")
        if (share := _share(quota, period)) is not None:
            return share
    if member.v1 is None:
        return None
    folder = group_folders(prefix + _V1, member.v1)[0]
    quota, period = (text_or_none(f"{folder}/cpu.cfs_{name}_us") or "" for name in ("quota", "period"))
    return _share(quota, period)


def _share(quota: str, period: str) -> float | None:
    """Return a quota in processors; None if there is none (``max``, -1), or the words are no numbers."""
    time, of = whole_number(quota), whole_number(period)
    return time / of if time is not None and of is not None and time >= 0 and of > 0 else None
