"""How much memory the board can still give us: the machine's and that of our control groups, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.operations.kernel_text import text_or_none
from gateway.operations.meminfo import Meminfo, parse_meminfo
from gateway.operations.memory_groups import GroupMemory, read_groups, read_membership

_ROOT: Final = Path("/")


@dataclass(frozen=True, slots=True)
class HostMemory:
    """What there is and what is left, for this process.

    Attributes:
        total_bytes: The machine's memory, or the least limit of our groups; above 0.
        available_bytes: What can still be allocated without swapping or being killed.
        page_cache_bytes: Part of that which holds files now.
        swap_used_bytes: Swapped out; never counted as memory. None if unknown.
        grouped: Whether a control group bounds it, and not the machine.
    """

    total_bytes: int
    available_bytes: int
    page_cache_bytes: int
    swap_used_bytes: int | None
    grouped: bool


def bounded(machine: Meminfo | None, groups: tuple[GroupMemory, ...]) -> HostMemory | None:
    """Return what the machine and the groups leave together; None if neither tells anything. Pure."""
    if not groups:
        if machine is None:
            return None
        cache, swap = machine.page_cache_bytes, machine.swap_used_bytes
        return HostMemory(machine.total_bytes, machine.available_bytes, cache, swap, grouped=False)
    limit = min(group.limit_bytes for group in groups)
    tightest = min(groups, key=lambda group: group.available_bytes)
    left = tightest.available_bytes
    if machine is None:
        return HostMemory(limit, left, min(tightest.idle_file_bytes, left), None, grouped=True)
    available = min(machine.available_bytes, left)
    cache = tightest.idle_file_bytes if left < machine.available_bytes else machine.page_cache_bytes
    return HostMemory(
        min(machine.total_bytes, limit),
        available,
        min(cache, available),
        machine.swap_used_bytes,
        grouped=limit < machine.total_bytes,
    )


def read_memory(root: Path = _ROOT) -> HostMemory | None:
    """Return what is left to us now; None if nothing tells. Raises nothing."""
    prefix = str(root).rstrip("/")
    machine = parse_meminfo(text_or_none(f"{prefix}/proc/meminfo") or "")
    return bounded(machine, read_groups(prefix, read_membership(prefix)))


def available_bytes(root: Path = _ROOT) -> int | None:
    """Return the memory left to us without swapping, within our control groups; None if unknown."""
    memory = read_memory(root)
    return memory.available_bytes if memory is not None else None
