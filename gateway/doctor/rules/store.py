"""What the doctor says of the disk under the model store. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.doctor.finding import Figures, Finding, note, ok, problem, warning
from gateway.doctor.rules.who import Node, Who, may_use

_NEARLY: Final = 0.9
_LEAST_FREE_FILES: Final = 1000


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """What was read of the store and its disk.

    Attributes:
        folder: The store's; it need not exist.
        nearest: The folder that exists, itself or above it.
        updates: Whether releases are taken at all.
        free_bytes: Free on the disk for a plain user.
        total_bytes: Size of the disk.
        free_files: Files that can still be made; None where the disk does not count them.
        used_bytes: What the store holds; None if it cannot be read.
        quota_bytes: What it may hold.
        reserve_bytes: What is to be left free.
        read_only: Whether the disk is mounted read-only.
        who: Who writes there.
    """

    folder: str
    nearest: Node
    updates: bool
    free_bytes: int
    total_bytes: int
    free_files: int | None
    used_bytes: int | None
    quota_bytes: int
    reserve_bytes: int
    read_only: bool
    who: Who


def judge_store(facts: StoreFacts) -> Iterator[Finding]:
    """Yield what is to be said of the store."""
    yield _space(facts)
    if facts.updates:
        yield _quota(facts)
        if facts.used_bytes is not None:  # else its folder is not to be seen, nor whose it is
            yield _access(facts)


def _space(facts: StoreFacts) -> Finding:
    check = "store.space"
    words = f"{_mb(facts.free_bytes)} of {_mb(facts.total_bytes)} are free under {facts.nearest.path}"
    figures: Figures = {"free_bytes": facts.free_bytes, "total_bytes": facts.total_bytes}
    say = problem if facts.updates else warning
    if facts.free_bytes < facts.reserve_bytes:
        return say(
            check,
            words,
            f"less than the {_mb(facts.reserve_bytes)} that stay free: no release is fetched",
            f"sudo du -xh --max-depth=3 {facts.nearest.path} | sort -h | tail",
            "sudo journalctl --vacuum-size=100M; sudo apt clean",
            **figures,
        )
    if facts.free_files is not None and facts.free_files < _LEAST_FREE_FILES:
        return say(
            check,
            f"{facts.free_files} files can still be made under {facts.nearest.path}",
            "a release is many files",
            f"sudo du --inodes -xh --max-depth=3 {facts.nearest.path} | sort -h | tail",
            **figures,
        )
    return ok(check, words, **figures)


def _quota(facts: StoreFacts) -> Finding:
    check, used, quota = "store.quota", facts.used_bytes, facts.quota_bytes
    if used is None:
        return note(
            check,
            f"{facts.folder} cannot be read by you",
            "how full the store is cannot be told",
            f"sudo -u {facts.who.user} gateway doctor --only store",
        )
    words = f"the store holds {_mb(used)} of {_mb(quota)}"
    figures: Figures = {"used_bytes": used, "quota_bytes": quota}
    if used > quota * _NEARLY:
        return warning(
            check,
            words,
            "the next release may not fit beside what serves",
            "set updates.keep_releases: 0, or raise updates.quota_bytes",
            "gateway fsck  # what lies there",
            **figures,
        )
    if quota - used > facts.free_bytes:
        return note(
            check, f"{words}; the disk has less left than that", "it is full before the quota is", **figures
        )
    return ok(check, words, **figures)


def _access(facts: StoreFacts) -> Finding:
    check = "store.access"
    if facts.read_only:
        return problem(
            check,
            f"{facts.nearest.path} is mounted read-only",
            "no release can be taken; a disk that had errors is mounted so, too",
            f"sudo mount -o remount,rw $(findmnt -nT {facts.nearest.path} -o TARGET)",
            "sudo dmesg | grep -iE 'ext4|mmc|nvme'",
        )
    if not may_use(facts.who, facts.nearest):
        return problem(
            check,
            f"user {facts.who.user} may not write in {facts.nearest.path}",
            "no release can be taken",
            f"sudo install -d -o {facts.who.user} -g {facts.who.user} -m 0750 {facts.folder}",
        )
    return ok(check, f"user {facts.who.user} may write in {facts.nearest.path}")


def _mb(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1_000_000_000 else f"{count / 1e6:.0f} MB"
