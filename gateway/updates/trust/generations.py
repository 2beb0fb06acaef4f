"""Keeps trusted metadata as numbered folders, of which one pointer names the good one.

A refresh works in a copy. What it made is synced, then the floor is raised, then
the pointer is renamed: a power cut leaves the old folder or the new one, never a
folder that is half of each. All of it is a cache but for ``floor.json`` and
``clock.json``; each generation carries a copy of the floor, in case the disk
loses the first.

One process at a time: whoever has the store's lock.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from pathlib import Path
from typing import Any, Final

from gateway.errors import StoreFailed
from gateway.updates.store.durable import discard, make_folder, replace, sync_folder, write_new
from gateway.updates.store.failpoints import failpoint
from gateway.updates.store.reading import read_small
from gateway.updates.store.sealed import seal, unseal
from gateway.updates.trust.clock import ClockFloor
from gateway.updates.trust.floor import MOST_FLOOR_BYTES, Floor, decode, encode, joined

FLOOR_FILE: Final = "floor.json"
CLOCK_FILE: Final = "clock.json"
POINTER: Final = "current"
ROOTS: Final = "root_history"
_GENERATION: Final = re.compile(r"gen-([1-9][0-9]{0,14})")
_METADATA: Final = re.compile(r"[A-Za-z0-9._-]{1,80}\.json")
_MOST_CLOCK_BYTES: Final = 16 << 10
_MOST_METADATA_BYTES: Final = 4 << 20
_MOST_FILES: Final = 256


class Generations:
    """The trust folder of a store."""

    def __init__(self, folder: Path) -> None:
        """Look at nothing yet.

        Args:
            folder: ``trust/`` of the store; it is made when it is needed.
        """
        self.folder = folder

    def current(self) -> Path | None:
        """Return the good generation; None on a board that has none.

        Raises:
            OSError: The disk cannot be read.
        """
        try:
            name = read_small(self.folder, self.folder / POINTER, 64).decode("ascii", "replace").strip()
        except (FileNotFoundError, StoreFailed):
            return None
        path = self.folder / name
        return path if _GENERATION.fullmatch(name) and _is_folder(path) else None

    def stage(self) -> Path:
        """Return a new generation, a copy of the good one; leftovers of earlier ones are removed.

        Raises:
            OSError: The disk does not take it.
            StoreFailed: The trust folder is not what it should be.
        """
        make_folder(self.folder, 0o700)
        current = self.current()
        self._clean(current)
        number = 1 if current is None else int(current.name.partition("-")[2]) + 1
        staged = self.folder / f"gen-{number}"
        failpoint("generation.make")
        make_folder(staged, 0o700)
        make_folder(staged / ROOTS, 0o700)
        if current is not None:
            for folder in (current, current / ROOTS):
                self._copy(folder, staged / folder.relative_to(current))
        return staged

    def accept(self, staged: Path, floor: Floor, clock: ClockFloor) -> None:
        """Make a staged generation the good one.

        Raises:
            OSError: The disk does not take it: the one before is still good, or this one already is.
        """
        replace(staged / FLOOR_FILE, encode(floor), "trust_floor")
        self._sync(staged)
        self.write_floor(floor)
        self.write_clock(clock)
        replace(self.folder / POINTER, staged.name.encode() + b"\n", "trust")
        with contextlib.suppress(OSError):  # the next refresh removes it
            self._clean(staged)

    def drop(self, staged: Path) -> None:
        """Remove a generation that did not become good; never raises."""
        with contextlib.suppress(OSError):
            discard(staged)

    def floor(self) -> Floor:
        """Return the floor: the newer of its two copies; the lowest on a board that has none.

        Raises:
            OSError: The disk cannot be read.
        """
        current = self.current()
        places = [self.folder / FLOOR_FILE, *([] if current is None else [current / FLOOR_FILE])]
        found = Floor()
        for place in places:
            with contextlib.suppress(FileNotFoundError, StoreFailed):
                found = joined(found, decode(read_small(self.folder, place, MOST_FLOOR_BYTES)))
        return found

    def is_held(self, floor: Floor) -> bool:
        """Say whether the good generation was accepted with just these versions.

        The floor alone does not say that: it is raised before the pointer is renamed.

        Raises:
            OSError: The disk cannot be read.
        """
        current = self.current()
        if current is None:
            return False
        try:
            held = decode(read_small(self.folder, current / FLOOR_FILE, MOST_FLOOR_BYTES))
        except (FileNotFoundError, StoreFailed):
            return False
        return (held.root, held.roles) == (floor.root, floor.roles)

    def write_floor(self, floor: Floor) -> None:
        """Write the floor, durably.

        Raises:
            OSError: The disk does not take it.
        """
        replace(self.folder / FLOOR_FILE, encode(floor), "trust_floor")

    def clock(self) -> ClockFloor:
        """Return what is known of the time; nothing if it was lost.

        Raises:
            OSError: The disk cannot be read.
        """
        try:
            body = unseal(read_small(self.folder, self.folder / CLOCK_FILE, _MOST_CLOCK_BYTES), CLOCK_FILE)
            return ClockFloor(
                _seconds(body["used_unix_s"]), _seconds(body["issued_unix_s"]), tuple(map(str, body["keys"]))
            )
        except (FileNotFoundError, StoreFailed, KeyError, TypeError, ValueError):
            return ClockFloor()

    def write_clock(self, clock: ClockFloor) -> None:
        """Write what is known of the time, durably.

        Raises:
            OSError: The disk does not take it.
        """
        body: dict[str, Any] = {
            "used_unix_s": clock.used_unix_s,
            "issued_unix_s": clock.issued_unix_s,
            "keys": list(clock.keys),
        }
        replace(self.folder / CLOCK_FILE, seal(body), "trust_clock")

    def _copy(self, old: Path, new: Path) -> None:
        """Copy the metadata files of a folder; what is damaged is left out, for it can be fetched again."""
        with contextlib.suppress(FileNotFoundError), os.scandir(old) as entries:
            names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
            for name in sorted(names)[:_MOST_FILES]:
                if _METADATA.fullmatch(name) and name != FLOOR_FILE:
                    with contextlib.suppress(StoreFailed):
                        data = read_small(self.folder, old / name, _MOST_METADATA_BYTES)
                        write_new(new / name, data, 0o600, "generation")

    def _sync(self, staged: Path) -> None:
        """Bring every byte and name of a generation to the disk."""
        for folder in (staged / ROOTS, staged):
            with os.scandir(folder) as entries:
                names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
            for name in names:
                fd = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    failpoint("generation.fsync")
                    os.fsync(fd)
                finally:
                    os.close(fd)
            sync_folder(folder, "generation.folder_fsync")
        sync_folder(self.folder, "generation.folder_fsync")

    def _clean(self, kept: Path | None) -> None:
        with os.scandir(self.folder) as entries:
            names = [entry.name for entry in entries]
        for name in names:
            if _GENERATION.fullmatch(name) and (kept is None or name != kept.name):
                failpoint("generation.remove")
                discard(self.folder / name)


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def _seconds(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no time")
    return value
