"""Mistakes made on purpose in a workload's process: if nobody notices them, the crash tests are blind."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from gateway.updates.store import audit, collect, durable, partial, pause, quarantine, records, releases
from gateway.updates.store.failpoints import failpoint
from gateway.updates.trust import generations

Pace = Callable[[str], None]


def no_file_sync(_: Pace) -> None:
    """Sync folders and no file: what has a name may have no bytes."""
    _sync_only(stat.S_ISDIR)


def no_folder_sync(_: Pace) -> None:
    """Sync files and no folder: what was renamed may have its old name."""
    _sync_only(stat.S_ISREG)


def no_sync(_: Pace) -> None:
    """Rename without any sync, as one does who trusts the order of calls."""
    _sync_only(lambda _: False)


def rewrite_in_place(pace: Pace) -> None:
    """Write records, quarantine and trust over what is there, and sync at the end."""

    def replace(path: Path, data: bytes, _: str) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            pace("half")
            durable.write_all(fd, data[: len(data) // 2], 0)
            pace("half")
            durable.write_all(fd, data[len(data) // 2 :], len(data) // 2)
            os.fsync(fd)
        finally:
            os.close(fd)
        durable.sync_folder(path.parent, "state.folder_fsync")

    for module in (records, quarantine, generations, pause):
        module.replace = replace  # type: ignore[attr-defined]


def sync_again(_: Pace) -> None:
    """After a failed sync try once more, and believe the page cache: the second one succeeds."""
    fsync, fdatasync = os.fsync, os.fdatasync

    def again(sync: Callable[[int], None]) -> Callable[[int], None]:
        def tried(fd: int) -> None:
            with contextlib.suppress(OSError):
                sync(fd)
                return
            sync(fd)

        return tried

    os.fsync, os.fdatasync = again(fsync), again(fdatasync)  # type: ignore[assignment]
    os.posix_fadvise = lambda *_: None


def without(point: str) -> None:
    """Leave out the one sync that follows a failpoint, such as ``state.folder_fsync``."""
    due = [False]
    fsync = os.fsync

    def marked(name: str) -> None:
        failpoint(name)
        due[0] = name == point

    def most(fd: int) -> None:
        if not due[0]:
            fsync(fd)
        due[0] = False

    for module in (durable, partial, audit, generations, releases, collect):
        module.failpoint = marked  # type: ignore[attr-defined]
    os.fsync = most  # type: ignore[assignment]


def make(mistake: str, pace: Pace) -> None:
    """Make the mistake with this name: one of ``MUTANTS``, or ``without:`` and a failpoint."""
    kind, _, point = mistake.partition(":")
    if point:
        without(point)
    else:
        MUTANTS[kind](pace)


def _sync_only(wanted: Callable[[int], bool]) -> None:
    fsync, fdatasync = os.fsync, os.fdatasync

    def chosen(sync: Callable[[int], None]) -> Callable[[int], None]:
        return lambda fd: sync(fd) if wanted(os.fstat(fd).st_mode) else None

    os.fsync, os.fdatasync = chosen(fsync), chosen(fdatasync)  # type: ignore[assignment]


# Syncs of which each must be there: without it something acknowledged can be lost. Two others are covered:
# ``blob.folder_fsync`` by that of ``partial/`` (ext4 brings both to the disk), ``trust_floor.fsync`` by the
# second copy of the floor.
SYNCS: Final = (
    "state.fsync",
    "state.folder_fsync",
    "floor.fsync",
    "quarantine.fsync",
    "quarantine.folder_fsync",
    "part.fsync",
    "release.fsync",
    "release.folder_fsync",
    "audit.fsync",
    "generation.fsync",
    "trust.fsync",
    "trust.folder_fsync",
    "trust_clock.fsync",
)

MUTANTS: Final[Mapping[str, Callable[[Pace], None]]] = {
    "no_file_sync": no_file_sync,
    "no_folder_sync": no_folder_sync,
    "no_sync": no_sync,
    "rewrite_in_place": rewrite_in_place,
    "sync_again": sync_again,
}
