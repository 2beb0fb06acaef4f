"""What this board is called, and how much memory it can still give: read when asked, never remembered."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import Final

_ROOT: Final = Path("/")
# A cgroup without a limit says a number near 2**63.
_NO_LIMIT: Final = 1 << 60


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


def available_bytes(root: Path = _ROOT) -> int | None:
    """Return the memory left to us without swapping, within our control group; None if unknown."""
    free = [found for found in (_machine(root), _group_v2(root), _group_v1(root)) if found is not None]
    return max(0, min(free)) if free else None


def _machine(root: Path) -> int | None:
    text = _read(root / "proc/meminfo")
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _group_v2(root: Path) -> int | None:
    """Return the least that is left in our group and those above it."""
    path = next(
        (line[3:] for line in _read(root / "proc/self/cgroup").splitlines() if line[:3] == "0::"), None
    )
    if path is None:
        return None
    folder = root / "sys/fs/cgroup"
    left = []
    for group in (folder / path.strip("/"), *(folder / path.strip("/")).parents):
        if not group.is_relative_to(folder):
            break
        limit, used = _read(group / "memory.max").strip(), _read(group / "memory.current").strip()
        if limit.isdigit() and used.isdigit():
            left.append(int(limit) - int(used) + _file_pages(group / "memory.stat", "inactive_file"))
    return min(left, default=None)


def _group_v1(root: Path) -> int | None:
    lines = (line.split(":", 2) for line in _read(root / "proc/self/cgroup").splitlines())
    path = next((parts[2] for parts in lines if len(parts) == 3 and "memory" in parts[1].split(",")), None)
    if path is None:
        return None
    group = root / "sys/fs/cgroup/memory" / path.strip("/")
    limit = _read(group / "memory.limit_in_bytes").strip()
    used = _read(group / "memory.usage_in_bytes").strip()
    if not limit.isdigit() or not used.isdigit() or int(limit) >= _NO_LIMIT:
        return None
    return int(limit) - int(used) + _file_pages(group / "memory.stat", "total_inactive_file")


def _file_pages(path: Path, key: str) -> int:
    """Return the cached bytes that the kernel takes back first: they are as good as free."""
    found = re.search(rf"^{key} (\d+)$", _read(path), re.MULTILINE)
    return int(found[1]) if found else 0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
