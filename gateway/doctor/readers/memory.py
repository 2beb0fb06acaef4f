"""Reads what limits memory beside its amount: control groups, swap, locking, overcommit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from gateway.configuration.settings import Settings
from gateway.doctor.readers.models import model_bytes
from gateway.doctor.readers.service import Service
from gateway.doctor.readers.text import read_number, read_text
from gateway.doctor.rules.memory import MemoryFacts, Swap
from gateway.operations.memory_groups import parse_membership, read_groups
from gateway.scaling.sample import Sample

_SWAP: Final = r"^(\S+)\s+\S+\s+(\d{1,15})\s+(\d{1,15})"


def read_memory(
    root: Path, settings: Settings, service: Service, sample: Sample, *, jetson: bool
) -> MemoryFacts:
    """Read the facts of memory.

    Args:
        root: Where ``/`` is.
        settings: The marks, and which models are to be locked.
        service: Whose limits count.
        sample: What the gateway's telemetry says now.
        jetson: Whether this is a Jetson.
    """
    overcommit = read_number(root / "proc/sys/vm/overcommit_memory")
    return MemoryFacts(
        memory=tuple(sample.memory.values()),
        pressure=sample.pressure,
        high_mark=settings.scaling.high_mark,
        groups=group_version(root),
        limit_bytes=group_limit(root, service.who.pid),
        lock_bytes=service.lock_bytes,
        model_bytes=model_bytes(settings),
        swaps=swaps(root),
        overcommit=overcommit,
        jetson=jetson,
        who=service.who,
        troubles=sample.troubles,
    )


def swaps(root: Path) -> tuple[Swap, ...]:
    """Return where the system swaps to."""
    found = re.findall(_SWAP, read_text(root / "proc/swaps"), re.MULTILINE | re.ASCII)
    return tuple(Swap(name, int(size) * 1024, int(used) * 1024) for name, size, used in found)


def group_version(root: Path) -> str:
    """Return which control groups account for memory: ``v2``, ``v1``, ``hybrid``, or nothing."""
    folder = root / "sys/fs/cgroup"
    if "memory" in read_text(folder / "cgroup.controllers").split():
        return "v2"
    if (folder / "memory").is_dir():
        return "hybrid" if (folder / "unified").is_dir() else "v1"
    return ""


def group_limit(root: Path, pid: int) -> int | None:
    """Return the least memory limit of a process's group and those above it; None if there is none.

    Args:
        root: Where ``/`` is.
        pid: Of the running gateway; 0 for this process.
    """
    member = parse_membership(read_text(root / f"proc/{pid or 'self'}/cgroup"))
    groups = read_groups(str(root).rstrip("/"), member)
    return min((group.limit_bytes for group in groups), default=None)
