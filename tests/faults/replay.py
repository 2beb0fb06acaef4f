"""Makes every disk that a power cut could have left of a recorded run, and has each judged."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.faults.ext4 import Disk
from tests.faults.oracles import judge
from tests.faults.outcome import Effort, Outcome, spread
from tests.faults.recorder import FLUSH, MARK, WRITE
from tests.faults.recording import Event, facts_of

# What a disk writes whole. Not less: ext4 itself is lost if half of a superblock is written.
BLOCK_BYTES: Final = 4096
ALL: Final = "all"
NONE: Final = "none"
SOME: Final = "some"
TORN: Final = "torn"


@dataclass(frozen=True, slots=True)
class State:
    """One disk that a power cut could have left.

    Attributes:
        upto: How many events had happened.
        kept: What became of the writes since the last flush: ``all``, ``none``, ``some`` of them whole, or
            some blocks of them (``torn``).
    """

    upto: int
    kept: str

    def __str__(self) -> str:
        return f"after event {self.upto}, {self.kept} of what was not flushed"


def states(events: Sequence[Event]) -> list[State]:
    """Return all states of a log that differ, in order.

    A cut between two writes, with all, none or some of the writes since the last
    flush on the disk; and one after each mark, with what is flushed alone: what is
    acknowledged must not hang on anything else.
    """
    found: list[State] = []
    open_writes = 0
    for upto, event in enumerate(events, 1):
        if event.kind == FLUSH:
            open_writes = 0
        elif event.kind == WRITE:
            open_writes += 1
            found += [State(upto, kept) for kept in (ALL, SOME, TORN)]
        if event.kind != WRITE or open_writes == 1:
            found.append(State(upto, NONE))
    return found


class Rebuilder:
    """Builds the images of rising states of one log, each in a file of its own."""

    def __init__(self, base: Path, events: Sequence[Event], folder: Path, seed: int) -> None:
        """Prepare.

        Args:
            base: The image as it was when recording began.
            events: What the disk was told since.
            folder: Gets the images.
            seed: Decides which writes are kept.
        """
        self._flushed = copy_sparse(base, folder / "flushed.img")
        self._events = events
        self._folder = folder
        self._seed = seed
        self._done = 0

    def image(self, state: State) -> Path:
        """Return a new image of a state, which must not lie before the last one asked for."""
        events = self._events
        epoch = max((at + 1 for at in range(state.upto) if events[at].kind == FLUSH), default=0)
        with self._flushed.open("r+b", buffering=0) as file:
            for event in events[self._done : epoch]:
                _write(file.fileno(), event)
        self._done = max(self._done, epoch)
        image = copy_sparse(self._flushed, self._folder / "state.img")
        with image.open("r+b", buffering=0) as file:
            for event in self._kept(events[epoch : state.upto], state):
                _write(file.fileno(), event)
        return image

    def _kept(self, events: Sequence[Event], state: State) -> Iterator[Event]:
        chance = random.Random(f"{self._seed} {state.upto} {state.kept}")
        for event in events:
            if event.kind != WRITE or state.kept == NONE:
                continue
            if state.kept == ALL or (state.kept == SOME and chance.random() < 0.5):
                yield event
            elif state.kept == TORN:
                for at in range(0, len(event.data), BLOCK_BYTES):
                    if chance.random() < 0.5:
                        yield Event(WRITE, event.place + at, event.data[at : at + BLOCK_BYTES])


def _write(fd: int, event: Event) -> None:
    if event.kind == WRITE:
        os.pwrite(fd, event.data, event.place)


def copy_sparse(source: Path, target: Path) -> Path:
    """Copy a file without its holes, over whatever has the name, and return the copy."""
    with source.open("rb", buffering=0) as old, target.open("wb", buffering=0) as new:
        size = os.fstat(old.fileno()).st_size
        new.truncate(size)
        at = 0
        while at < size:
            try:
                at = os.lseek(old.fileno(), at, os.SEEK_DATA)
            except OSError:  # no more data
                break
            end = os.lseek(old.fileno(), at, os.SEEK_HOLE)
            os.lseek(new.fileno(), at, os.SEEK_SET)
            while at < end:
                at += os.sendfile(new.fileno(), old.fileno(), at, end - at)
    return target


def power_cuts(
    base: Path,
    events: Sequence[Event],
    folder: Path,
    kind: str,
    effort: Effort,
    before: Sequence[str] = (),
) -> Outcome:
    """Judge what every power cut of a recorded run leaves.

    Args:
        base: The image as it was when recording began.
        events: What the disk was told since.
        folder: A folder that is made for the work and removed.
        kind: The file system.
        effort: How many states, and the seed.
        before: Facts that were acknowledged before the recording.
    """
    folder.mkdir()
    possible = states(events)
    outcome = Outcome(figures={"possible": len(possible)})
    rebuilder = Rebuilder(base, events, folder, effort.seed)
    facts = list(before)
    said = 0
    for state in _chosen(possible, events, effort):
        facts += [fact for event in events[said : state.upto] for fact in facts_of(event)]
        said = max(said, state.upto)
        outcome.add(str(state), cut(rebuilder.image(state), folder / "mnt", kind, facts, effort.rounds))
        if effort.stop_at and len(outcome.faults) >= effort.stop_at:
            break
    shutil.rmtree(folder)
    return outcome


def _chosen(possible: Sequence[State], events: Sequence[Event], effort: Effort) -> list[State]:
    """Return the states to judge; a third of a sample are those where something was acknowledged just now."""
    if not effort.most:
        return list(possible)
    fresh = [state for state in possible if events[state.upto - 1].kind == MARK]
    others = [state for state in possible if events[state.upto - 1].kind != MARK]
    chosen = set(spread(fresh, max(1, effort.most // 3), effort.seed))
    chosen |= set(spread(others, max(1, effort.most - len(chosen)), effort.seed))
    return [state for state in possible if state in chosen]


def cut(image: Path, mount: Path, kind: str, facts: Sequence[str], rounds: int) -> list[str]:
    """Mount what a power cut left, judge the store on it, and unmount it; return what is wrong."""
    disk = Disk(image, mount, kind)
    try:
        disk.mount()
    except subprocess.CalledProcessError as error:
        return [f"the file system cannot be mounted: {error.stderr.strip()}"]
    try:
        wrong = judge(mount / "models", facts, rounds)
    finally:
        try:
            disk.unmount()
            held = []
        except subprocess.CalledProcessError:
            held = ["files were still open after the store was closed"]
    return wrong + held
