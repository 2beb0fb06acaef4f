"""What a lane's processes really cost: proportional and private memory, and what they hold on a GPU.

Proportional memory (PSS) shares what several map among them, so the lanes of one
model add up to what they take together; private memory (USS) is what ends with the
process. Kernels before 4.14 sum up neither, so their longer list is added up here; where
even that is closed to us, resident memory counts as proportional, which says too much.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.operations.kernel_text import kernel_text, text_or_none

_ROOT: Final = Path("/")
_LINE: Final = re.compile(r"^(Pss|Private_\w{1,16}):[ \t]{0,32}(\d{1,15}) kB$", re.ASCII | re.MULTILINE)
# A process with very many mappings has a long list; what comes after this is not counted.
_MAX_LIST_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class ProcessMemory:
    """What one process takes.

    Attributes:
        pss_bytes: Its own memory, and its part of what it shares.
        uss_bytes: Its own memory alone.
        gpu_bytes: What a GPU's driver holds for it; None where no driver tells.
        source: ``smaps_rollup``, ``smaps`` or ``statm``.
    """

    pss_bytes: int
    uss_bytes: int
    gpu_bytes: int | None
    source: str


def parse_mappings(text: str) -> tuple[int, int] | None:
    """Return proportional and private bytes of ``smaps`` or ``smaps_rollup``; None if it tells none. Pure."""
    lines = _LINE.findall(text)
    pss = [int(kib) for name, kib in lines if name == "Pss"]
    if not pss:
        return None
    return sum(pss) * 1024, sum(int(kib) for name, kib in lines if name != "Pss") * 1024


def parse_pages(text: str, page_bytes: int) -> tuple[int, int] | None:
    """Return resident and private bytes of ``statm``; None if it tells none. Pure."""
    words = text.split()
    if len(words) < 3 or not all(word.isascii() and word.isdigit() and len(word) < 16 for word in words[:3]):
        return None
    resident, shared = int(words[1]), int(words[2])
    return resident * page_bytes, max(0, resident - shared) * page_bytes


def process_memory(
    pid: int, gpu: Mapping[int, int] | None = None, root: Path = _ROOT
) -> ProcessMemory | None:
    """Return what a process takes; None if it has gone. Raises nothing.

    Args:
        pid: The process.
        gpu: Memory on GPUs by process id, as the drivers tell it; None if none does.
        root: Where ``/`` is.
    """
    folder = f"{str(root).rstrip('/')}/proc/{pid}"
    held = gpu.get(pid) if gpu is not None else None
    for name in ("smaps_rollup", "smaps"):
        try:
            sums = parse_mappings(kernel_text(f"{folder}/{name}", _MAX_LIST_BYTES))
        except OSError:
            continue
        if sums is not None:
            return ProcessMemory(*sums, held, name)
    pages = parse_pages(text_or_none(f"{folder}/statm") or "", os.sysconf("SC_PAGE_SIZE"))
    return ProcessMemory(*pages, held, "statm") if pages is not None else None


def lane_memory(
    pids: Iterable[int], gpu: Mapping[int, int] | None = None, root: Path = _ROOT
) -> ProcessMemory | None:
    """Return what the processes of a lane, or of all lanes of a model, take together; None if all have gone.

    Args:
        pids: The processes; each counts once.
        gpu: Memory on GPUs by process id; None if no driver tells.
        root: Where ``/`` is.
    """
    found = [each for pid in sorted(set(pids)) if (each := process_memory(pid, gpu, root)) is not None]
    if not found:
        return None
    held = [each.gpu_bytes for each in found if each.gpu_bytes is not None]
    worst = max(found, key=lambda each: ("smaps_rollup", "smaps", "statm").index(each.source))
    return ProcessMemory(
        sum(each.pss_bytes for each in found),
        sum(each.uss_bytes for each in found),
        sum(held) if held else None,
        worst.source,
    )


def gpu_processes(lists: Iterable[Mapping[int, int]]) -> dict[int, int] | None:
    """Return memory by process over all GPUs, joined; None if no driver lists any. Pure."""
    joined: dict[int, int] = {}
    for each in lists:
        for pid, used in each.items():
            joined[pid] = joined.get(pid, 0) + used
    return joined or None
