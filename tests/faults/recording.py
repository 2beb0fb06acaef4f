"""Lets a workload run on a disk that remembers, and reads back what the disk was told."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.faults.crew import Crew, Ending, sorted_words
from tests.faults.ext4 import Disk, command
from tests.faults.recorder import HEADER, MARK
from tests.faults.workload import Case
from tests.rules.tree import ROOT

_START_S: Final = 30.0
_UNMOUNT_TRIES: Final = 100


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that the disk was told.

    Attributes:
        kind: ``WRITE``, ``FLUSH``, ``MARK`` or ``FAILED``.
        place: Where the bytes go.
        data: They; of a mark, its words.
    """

    kind: bytes
    place: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Recorded:
    """A run and its disk's log.

    Attributes:
        events: Everything in order.
        ending: How the run ended.
    """

    events: tuple[Event, ...]
    ending: Ending


def read_log(path: Path) -> Iterator[Event]:
    """Yield what a recorder logged."""
    data = path.read_bytes()
    at = 0
    while at + HEADER.size <= len(data):
        kind, place, length = HEADER.unpack_from(data, at)
        at += HEADER.size
        yield Event(kind, place, data[at : at + length])
        at += length


@contextlib.contextmanager
def recorder(folder: Path, image: Path) -> Iterator[Path]:
    """Serve an image by a recorder; give the folder with ``disk``, ``mark`` and ``order``.

    Args:
        folder: An existing folder; it gets the mount and ``log``.
        image: The image; it is written to.
    """
    mount = folder / "fuse"
    mount.mkdir()
    words = [sys.executable, "-m", "tests.faults.recorder", str(mount), str(image), str(folder / "log")]
    with (folder / "recorder.err").open("wb") as errors:
        # Its own outputs: an orphan must not hold the pipe of whoever reads ours.
        process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
    try:
        _await(process, mount / "disk")
        yield mount
    finally:
        _end(process, mount)


def _end(process: subprocess.Popen[bytes], mount: Path) -> None:
    """Unmount a recorder and see its process end; a loop device may let go of the file a little later."""
    for _ in range(_UNMOUNT_TRIES):
        if os.path.ismount(mount):
            with contextlib.suppress(subprocess.CalledProcessError):
                command("fusermount3", "-u", mount)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
            break
    else:
        process.kill()
        process.wait()
    if os.path.ismount(mount):
        command("umount", "-l", mount)


def _await(process: subprocess.Popen[bytes], disk: Path) -> None:
    ended = os.pidfd_open(process.pid)
    try:
        for _ in range(int(_START_S / 0.02)):
            if disk.exists():
                return
            if select.select([ended], [], [], 0.02)[0]:
                break
    finally:
        os.close(ended)
    errors = disk.parent.parent / "recorder.err"
    raise ChildProcessError(f"the recorder does not start: {errors.read_text()[-1000:]}")


def record(folder: Path, crew: Crew, image: Path, kind: str, case: Case, orders: str = "") -> Recorded:
    """Run a case on an image that is served by a recorder.

    Args:
        folder: An existing folder for everything that is made.
        crew: Runs the case.
        image: The image, with a file system; it is written to.
        kind: Its kind.
        case: What to run; ``root``, ``marks`` and, if it has one, ``neighbour`` are put in place here.
        orders: Given to the recorder after the disk is mounted; empty for none.
    """
    with recorder(folder, image) as served:
        disk = Disk(served / "disk", folder / "mnt", kind)
        disk.mount()
        try:
            if orders:
                (served / "order").write_text(orders)
            placed = Case(
                str(disk.folder / "models"),
                case.rounds,
                str(served / "mark"),
                case.mutant,
                str(disk.folder / "neighbour") if case.neighbour else "",
                shutdown_at=-1,
                tries=case.tries,
            )
            ending = crew.run(placed)
        finally:
            with contextlib.suppress(subprocess.CalledProcessError):
                disk.unmount()
    events = tuple(read_log(folder / "log"))
    said = [line for event in events if event.kind == MARK for line in event.data.decode().splitlines()]
    return Recorded(events, sorted_words(ending.status, said))


def facts_of(event: Event) -> list[str]:
    """Return the facts that an event acknowledges; none unless it is a mark."""
    lines = event.data.decode().splitlines() if event.kind == MARK else []
    return [line for line in lines if not line.startswith("#")]
