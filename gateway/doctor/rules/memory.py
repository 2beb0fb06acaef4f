"""What the doctor says of memory: what is left, where that is read, what limits it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.doctor.finding import Figures, Finding, note, ok, problem, warning
from gateway.doctor.rules.who import Who, drop_in
from gateway.scaling.sample import DeviceMemory, Pressure

_MIB: Final = 1 << 20
_STRICT: Final = 2  # vm.overcommit_memory: no more addresses than there is memory
_SMALL_BOARD_BYTES: Final = 5 << 30
_MUCH_SWAPPED: Final = 0.5
_INSTEAD: Final = {"vmstat": "swapping is watched instead"}


@dataclass(frozen=True, slots=True)
class Swap:
    """One place to swap to, as ``/proc/swaps`` tells it."""

    name: str
    size_bytes: int
    used_bytes: int

    @property
    def compressed(self) -> bool:
        """Whether it is compressed memory and not a disk."""
        return self.name.rpartition("/")[2].startswith("zram")


@dataclass(frozen=True, slots=True)
class MemoryFacts:
    """What was read of memory.

    Attributes:
        memory: By device, as the gateway's telemetry reads it; empty if nothing tells.
        pressure: As the gateway's telemetry reads it.
        troubles: What could not be read.
        high_mark: Share in use above which lanes are retired.
        groups: ``v2``, ``v1``, ``hybrid``, or empty without control groups.
        limit_bytes: Limit of the gateway's group; None if it has none.
        lock_bytes: How much the gateway may lock; None for any.
        model_bytes: Size of all model files.
        swaps: Where the system swaps to.
        overcommit: ``vm.overcommit_memory``; None if unknown.
        jetson: Whether this is a Jetson.
        who: Whose limits these are.
    """

    memory: tuple[DeviceMemory, ...]
    pressure: Pressure
    high_mark: float
    groups: str
    limit_bytes: int | None
    lock_bytes: int | None
    model_bytes: int
    swaps: tuple[Swap, ...]
    overcommit: int | None
    jetson: bool
    who: Who
    troubles: tuple[str, ...] = ()


def judge_memory(facts: MemoryFacts) -> Iterator[Finding]:
    """Yield what is to be said of memory."""
    yield from _room(facts)
    yield _pressure(facts)
    yield _groups(facts)
    yield _locking(facts)
    yield from _swap(facts)
    yield _overcommit(facts)


def _room(facts: MemoryFacts) -> Iterator[Finding]:
    if not facts.memory:
        why = "; ".join(facts.troubles) or "/proc/meminfo cannot be read"
        yield problem(
            "memory.source",
            f"nothing tells how much memory there is: {why}",
            "lanes cannot be scaled, and ProcSubset=pid breaks runtimes, too",
            "sudo systemctl edit --full gateway.service  # take ProcSubset= out",
        )
    for each in facts.memory:
        yield ok(
            "memory.source",
            f"{each.device}: {each.source.value}, since {each.reason}",
            source=each.source.value,
        )
        words = f"{each.device}: {_size(each.available_bytes)} of {_size(each.total_bytes)} can be had"
        figures: Figures = {
            "device": each.device,
            "available_bytes": each.available_bytes,
            "total_bytes": each.total_bytes,
            "used_ratio": round(each.used_ratio, 4),
        }
        if each.used_ratio > facts.high_mark:
            yield warning(
                "memory.room",
                words,
                f"more than {facts.high_mark:.0%} is in use: lanes are retired, none is added",
                "ps -eo rss,pid,comm --sort -rss | head  # what takes it",
                **figures,
            )
        else:
            yield ok("memory.room", words, **figures)


def _pressure(facts: MemoryFacts) -> Finding:
    check, pressure = "memory.pressure", facts.pressure
    figures: Figures = {"source": pressure.source, "some": pressure.some, "full": pressure.full}
    if pressure.source != "psi":
        extlinux = "/boot/extlinux/extlinux.conf" if facts.jetson else "the kernel's command line"
        return note(
            check,
            f"no PSI; {_INSTEAD.get(pressure.source, 'nothing in its place')}",
            "an emergency is noticed some seconds later",
            f"add psi=1 to {extlinux} and restart; it helps if the kernel was built with PSI",
            **figures,
        )
    return ok(check, f"PSI: some {_share(pressure.some)}, full {_share(pressure.full)}", **figures)


def _groups(facts: MemoryFacts) -> Finding:
    check = "memory.cgroup"
    figures: Figures = {"groups": facts.groups, "limit_bytes": facts.limit_bytes}
    if not facts.groups:
        return note(check, "no control groups", "the service's memory cannot be limited", **figures)
    limit = "no limit" if facts.limit_bytes is None else f"limit {_size(facts.limit_bytes)}"
    words = f"control groups {facts.groups}, {limit}"
    if facts.groups != "v2":
        return note(
            check,
            words,
            "MemoryHigh= and MemoryMax= of the unit need version 2",
            "add systemd.unified_cgroup_hierarchy=1 to the kernel's command line and restart",
            **figures,
        )
    if facts.limit_bytes is not None and facts.jetson:
        return note(
            check, words, "memory that the GPU takes is not counted there on every release", **figures
        )
    return ok(check, words, **figures)


def _locking(facts: MemoryFacts) -> Finding:
    check = "memory.locking"
    figures: Figures = {"limit_bytes": facts.lock_bytes, "model_bytes": facts.model_bytes}
    free = facts.lock_bytes is None or (facts.who.uid == 0 and not facts.who.unit)
    if free:
        return ok(check, f"models ({_size(facts.model_bytes)}) may be locked in memory", **figures)
    limit = facts.lock_bytes or 0
    if facts.model_bytes <= limit:
        return ok(check, f"{_size(limit)} may be locked, models have {_size(facts.model_bytes)}", **figures)
    # Rounded up, with room for what is derived of the models.
    enough = -(-facts.model_bytes * 3 // 2 // (64 * _MIB)) * 64
    mend = (
        drop_in(facts.who.unit, "memlock", f"LimitMEMLOCK={enough}M")
        if facts.who.unit
        else (f"ulimit -l {enough * 1024}  # before the gateway is started",)
    )
    return warning(
        check,
        f"{_size(limit)} may be locked, models have {_size(facts.model_bytes)}",
        "where memory is short the kernel drops them, and the next inference reads them from disk",
        *mend,
        **figures,
    )


def _swap(facts: MemoryFacts) -> Iterator[Finding]:
    check = "memory.swap"
    total = sum(each.size_bytes for each in facts.swaps)
    used = sum(each.used_bytes for each in facts.swaps)
    host = next((each for each in facts.memory if each.device == "host"), None)
    figures: Figures = {"swap_bytes": total, "used_bytes": used}
    names = ", ".join(each.name for each in facts.swaps)
    if not facts.swaps:
        if facts.jetson and host is not None and host.total_bytes <= _SMALL_BOARD_BYTES:
            yield note(
                check,
                "no swap",
                "on a small board zram lets what is never used make room",
                "sudo systemctl enable --now nvzramconfig",
                **figures,
            )
        else:
            yield ok(check, "no swap", **figures)
    elif used > total * _MUCH_SWAPPED:
        yield warning(
            check,
            f"{_size(used)} of {_size(total)} are swapped out ({names})",
            "more runs here than fits: inferences wait for pages",
            "ps -eo rss,pid,comm --sort -rss | head  # what takes the memory",
            **figures,
        )
    else:
        kind = "zram, which lies in memory itself" if all(s.compressed for s in facts.swaps) else names
        yield ok(
            check, f"{_size(total)} of swap ({kind}), {_size(used)} used; not counted as memory", **figures
        )


def _overcommit(facts: MemoryFacts) -> Finding:
    check = "memory.overcommit"
    if facts.overcommit == _STRICT:
        return warning(
            check,
            "vm.overcommit_memory is 2",
            "runtimes reserve far more addresses than they touch, and are refused them",
            "echo vm.overcommit_memory=0 | sudo tee /etc/sysctl.d/60-gateway.conf",
            "sudo sysctl --system",
        )
    return ok(check, f"vm.overcommit_memory is {'unknown' if facts.overcommit is None else facts.overcommit}")


def _size(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB" if count >= 1 << 30 else f"{count / _MIB:.0f} MiB"


def _share(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.1%}"
