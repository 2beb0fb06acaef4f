"""What ``/proc/meminfo`` says of the machine's memory. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_LINE: Final = re.compile(r"^([A-Za-z_()0-9]{1,32}):[ \t]{0,32}(\d{1,15}) kB$", re.ASCII | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Meminfo:
    """The machine's memory, swap apart.

    Attributes:
        total_bytes: All that the kernel manages; above 0.
        available_bytes: What can be had without swapping, as the kernel estimates it.
        page_cache_bytes: Part of what is available that holds files now.
        swap_used_bytes: Swapped out. On a board that swaps to zram this lies in the very same memory.
        gpu_used_bytes: Held by the driver of an integrated GPU (``NvMapMemUsed``); None where it is not told.
    """

    total_bytes: int
    available_bytes: int
    page_cache_bytes: int
    swap_used_bytes: int
    gpu_used_bytes: int | None = None


def parse_meminfo(text: str) -> Meminfo | None:
    """Return what the file says; None if it lacks what counts. Raises nothing."""
    kib = {name: int(number) for name, number in _LINE.findall(text)}
    total = kib.get("MemTotal", 0)
    available = kib.get("MemAvailable")
    if total <= 0 or available is None:
        return None
    available = min(available, total)
    files = kib.get("Cached", 0) + kib.get("Buffers", 0) - kib.get("Shmem", 0)
    gpu = kib.get("NvMapMemUsed")
    return Meminfo(
        total * 1024,
        available * 1024,
        min(max(0, files), available) * 1024,
        max(0, kib.get("SwapTotal", 0) - kib.get("SwapFree", 0)) * 1024,
        gpu * 1024 if gpu is not None else None,
    )
