"""How much memory the board can still give us: the machine's and that of our control groups, in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from gateway.operations.kernel_text import text_or_none
from gateway.operations.meminfo import parse_meminfo
from gateway.operations.memory_groups import read_groups, read_membership
from gateway.operations.memory_left import HostMemory, bounded

_ROOT: Final = Path("/")


def read_memory(root: Path = _ROOT) -> HostMemory | None:
    """Return what is left to us now; None if nothing tells. Raises nothing."""
    prefix = str(root).rstrip("/")
    machine = parse_meminfo(text_or_none(f"{prefix}/proc/meminfo") or "")
    return bounded(machine, read_groups(prefix, read_membership(prefix)))


def available_bytes(root: Path = _ROOT) -> int | None:
    """Return the memory left to us without swapping, within our control groups; None if unknown."""
    memory = read_memory(root)
    return memory.available_bytes if memory is not None else None
