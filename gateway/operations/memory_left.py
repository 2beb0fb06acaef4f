"""What the machine and the control groups around us leave together. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.operations.meminfo import Meminfo


@dataclass(frozen=True, slots=True)
class GroupMemory:
    """One group that has a limit.

    Attributes:
        limit_bytes: The least of its limits.
        used_bytes: What is charged to it.
        idle_file_bytes: Part of it that holds files nobody used lately: as good as free.
    """

    limit_bytes: int
    used_bytes: int
    idle_file_bytes: int

    @property
    def available_bytes(self) -> int:
        """What the group can still take without being swapped out or killed for it."""
        return min(self.limit_bytes, max(0, self.limit_bytes - self.used_bytes + self.idle_file_bytes))


@dataclass(frozen=True, slots=True)
class HostMemory:
    """What there is and what is left, for this process.

    Attributes:
        total_bytes: The machine's memory, or the least limit of our groups; above 0.
        available_bytes: What can still be allocated without swapping or being killed.
        page_cache_bytes: Part of that which holds files now.
        swap_used_bytes: Swapped out; never counted as memory. None if unknown.
        grouped: Whether a control group bounds it, and not the machine.
        gpu_used_bytes: Held by the driver of an integrated GPU, as the kernel tells it; None if it does not.
        machine_bytes: All that the kernel manages, whatever bounds us; None if it does not tell.
    """

    total_bytes: int
    available_bytes: int
    page_cache_bytes: int
    swap_used_bytes: int | None
    grouped: bool
    gpu_used_bytes: int | None = None
    machine_bytes: int | None = None


def bounded(machine: Meminfo | None, groups: tuple[GroupMemory, ...]) -> HostMemory | None:
    """Return what the machine and the groups leave together; None if neither tells anything."""
    if machine is None and not groups:
        return None
    limits = [group.limit_bytes for group in groups]
    lefts = [(group.available_bytes, group.idle_file_bytes) for group in groups]
    if machine is not None:
        limits.append(machine.total_bytes)
        lefts.append((machine.available_bytes, machine.page_cache_bytes))
    available, cache = min(lefts)
    return HostMemory(
        min(limits),
        available,
        min(cache, available),
        machine.swap_used_bytes if machine is not None else None,
        grouped=machine is None or min(limits) < machine.total_bytes,
        gpu_used_bytes=machine.gpu_used_bytes if machine is not None else None,
        machine_bytes=machine.total_bytes if machine is not None else None,
    )
