"""Which control groups bound our memory, and how much each has left: version 2, version 1, and both at once.

A process is in a group within groups, and the tightest counts. Version 2 also
has a mark (``memory.high``) above which the kernel slows a group down and swaps
it out: what lies beyond that cannot be had without swapping, so it is a limit here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from gateway.operations.kernel_text import text_or_none, whole_number
from gateway.operations.memory_left import GroupMemory

# A group without a limit says a number near 2**63 in version 1.
_NO_LIMIT: Final = 1 << 60
_MAX_DEPTH: Final = 32
_V1: Final = "/sys/fs/cgroup/memory"
# The second is where a machine keeps version 2 that still has version 1 as well.
_V2: Final = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")


@dataclass(frozen=True, slots=True)
class Membership:
    """The paths of the groups that a process is in for one controller; None where it is in none."""

    v1: str | None = None
    v2: str | None = None


def parse_membership(text: str, controller: str = "memory") -> Membership:
    """Return what ``/proc/self/cgroup`` says of a controller. Raises nothing."""
    v1 = v2 = None
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if not colon:
            continue
        if number == "0" and not controllers:
            v2 = path
        elif controller in controllers.split(","):
            v1 = path
    return Membership(v1, v2)


def group_folders(mount: str, path: str) -> tuple[str, ...]:
    """Return the folders of a group and of all that hold it, innermost first.

    A path that leads out of what we see (``/../x``) ends at the outermost folder that we do see.
    """
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        parts = []
    parts = parts[:_MAX_DEPTH]
    return tuple("/".join((mount, *parts[:count])) for count in range(len(parts), -1, -1))


def read_membership(prefix: str, controller: str = "memory") -> Membership:
    """Return which groups this process is in now for a controller. Raises nothing."""
    return parse_membership(text_or_none(f"{prefix}/proc/self/cgroup") or "", controller)


def read_groups(prefix: str, member: Membership) -> tuple[GroupMemory, ...]:
    """Return every group around this process that has a limit, innermost first.

    Args:
        prefix: What comes before ``/sys``; empty on a real machine.
        member: Which groups we are in.
    """
    found: list[GroupMemory | None] = []
    if member.v2 is not None:
        for mount in _V2:
            found += [_group_v2(folder) for folder in group_folders(prefix + mount, member.v2)]
    if member.v1 is not None:
        found += [_group_v1(folder) for folder in group_folders(prefix + _V1, member.v1)]
    return tuple(group for group in found if group is not None)


def read_group_kills(prefix: str, member: Membership) -> int | None:
    """Return how many processes of our own group were killed for memory so far; None if it is not told."""
    paths = []
    if member.v2 is not None:
        paths += [f"{group_folders(prefix + mount, member.v2)[0]}/memory.events" for mount in _V2]
    if member.v1 is not None:
        paths.append(f"{group_folders(prefix + _V1, member.v1)[0]}/memory.oom_control")
    return next((kills for path in paths if (kills := _field(path, "oom_kill")) is not None), None)


def pressure_files(prefix: str, member: Membership) -> tuple[str, ...]:
    """Return where the kernel may tell of the pressure on the machine and on our own group."""
    machine = f"{prefix}/proc/pressure/memory"
    if member.v2 is None or not member.v2.strip("/"):
        return (machine,)
    return (machine, *(f"{group_folders(prefix + mount, member.v2)[0]}/memory.pressure" for mount in _V2))


def _group_v2(folder: str) -> GroupMemory | None:
    limits = [_limit(f"{folder}/memory.max"), _limit(f"{folder}/memory.high")]
    return _group(
        [limit for limit in limits if limit is not None],
        f"{folder}/memory.current",
        (f"{folder}/memory.stat", "inactive_file"),
    )


def _group_v1(folder: str) -> GroupMemory | None:
    limit = _limit(f"{folder}/memory.limit_in_bytes")
    return _group(
        [] if limit is None else [limit],
        f"{folder}/memory.usage_in_bytes",
        (f"{folder}/memory.stat", "total_inactive_file"),
    )


def _group(limits: list[int], usage: str, idle: tuple[str, str]) -> GroupMemory | None:
    used = _limit(usage) if limits else None
    if used is None or not min(limits):
        return None
    return GroupMemory(min(limits), used, _field(*idle) or 0)


def _limit(path: str) -> int | None:
    number = whole_number(text_or_none(path) or "")
    return number if number is not None and 0 <= number < _NO_LIMIT else None


def _field(path: str, key: str) -> int | None:
    found = re.search(rf"^{key} (\d{{1,19}})$", text_or_none(path) or "", re.MULTILINE | re.ASCII)
    return int(found[1]) if found else None
