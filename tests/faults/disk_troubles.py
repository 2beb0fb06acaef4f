"""Disks that lose their power, fill up, or turn read-only while a transaction runs."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from gateway.errors import DiskFull, GatewayError, StoreFailed
from tests.faults.crew import Crew
from tests.faults.ext4 import Disk, command, make, mounted
from tests.faults.oracles import judge
from tests.faults.outcome import Effort, Outcome, spread
from tests.faults.replay import copy_sparse, cut
from tests.faults.transaction import NOW_UNIX_S, Site, bad, open_site, play, ref_of
from tests.faults.workload import DONE, REFUSED, Case
from tests.updates.store.transaction import MODEL

# Room for one release too few.
_SMALL_BYTES: Final = 9 << 20


def shutdowns(folder: Path, crew: Crew, effort: Effort) -> Outcome:
    """Shut a mounted ext4 down at every step, and mount it again."""
    base = make(folder / "base.img")
    case = Case("", effort.rounds, str(folder / "marks"))
    status, facts, words = _run_on(base, folder / "calm", crew, case)
    assert status == DONE, words
    steps = int(next(word for word in words if word.startswith("steps")).split()[1])
    outcome = Outcome(figures={"possible": steps})
    for step in spread(range(1, steps + 1), effort.most, effort.seed):
        here = folder / f"step-{step}"
        marks = str(folder / f"marks-{step}")
        status, facts, words = _run_on(base, here, crew, replace(case, shutdown_at=step, marks=marks))
        wrong = [] if status in (DONE, REFUSED) else [f"it ended by {status}: {words}"]
        wrong += cut(here / "disk.img", here / "mnt", "ext4", facts, effort.rounds)
        outcome.add(f"shut down at step {step}", wrong)
        shutil.rmtree(here)
    return outcome


def _run_on(base: Path, folder: Path, crew: Crew, case: Case) -> tuple[int, tuple[str, ...], tuple[str, ...]]:
    """Run a case on a copy of an image; return how it ended, the facts, and other words."""
    folder.mkdir()
    disk = Disk(copy_sparse(base, folder / "disk.img"), folder / "mnt")
    disk.mount()
    try:
        ending = crew.run(replace(case, root=str(disk.folder / "models")))
    finally:
        disk.unmount()
    return ending.status, ending.facts, ending.words


def full_disks(folder: Path, _: Crew, effort: Effort) -> Outcome:
    """Leave a disk less and less room, on ext4 and tmpfs, and then give it room again."""
    sizes = [
        0,
        *(each << 10 for each in (4, 8, 16, 32, 48, 64, 96, 128, 256, 512, 1024, 1100, 1536, 2200, 2304)),
    ]
    cases = [(kind, free) for kind in ("ext4", "tmpfs") for free in sizes]
    outcome = Outcome(figures={"possible": len(cases)})
    for kind, free in spread(cases, effort.most, effort.seed):
        here = folder / f"{kind}-{free}"
        here.mkdir()
        with _small(here, kind) as disk:
            facts: list[str] = []
            wrong = list(_filled(disk, free, facts, effort.rounds))
            (disk / "filler").unlink()
            wrong += judge(disk / "models", facts, effort.rounds + 1)
        outcome.add(f"{free} bytes free on {kind}", wrong)
        outcome.count("refused in words" if any(fact == "# full" for fact in facts) else "went on")
        shutil.rmtree(here)
    return outcome


@contextlib.contextmanager
def _small(folder: Path, kind: str) -> Iterator[Path]:
    if kind == "ext4":
        with mounted(folder, size_bytes=_SMALL_BYTES + (5 << 20)) as disk:
            yield disk.folder
        return
    place = folder / "disk"
    place.mkdir()
    command("mount", "-t", "tmpfs", "-o", f"size={_SMALL_BYTES}", "tmpfs", place)
    try:
        yield place
    finally:
        command("umount", place)


def _filled(disk: Path, free_bytes: int, facts: list[str], rounds: int) -> Iterator[str]:
    """Play, fill the disk, play on; yield what is wrong."""
    with contextlib.closing(open_site(disk / "models")) as site:
        play(site, rounds, facts.append, _ignore)
        _fill(disk / "filler", free_bytes)
        try:
            play(site, rounds + 1, facts.append, _ignore)
        except DiskFull:
            facts.append("# full")
        except Exception as error:  # noqa: BLE001 - any other is what is looked for
            yield f"a full disk is told as {type(error).__name__}: {error}"
        yield from _still_reads(site)
        _fill(disk / "more", 0)
        try:  # the ballast is for this
            site.store.commit(site.store.record(MODEL))
        except GatewayError as error:
            yield f"a record cannot be written on a full disk: {error.message}"
        (disk / "more").unlink()


def _fill(path: Path, free_bytes: int) -> None:
    """Fill a disk with a file, and give back so much of it."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        for size in (1 << 20, 1 << 12):
            with contextlib.suppress(OSError):
                while True:
                    os.write(fd, b"\xff" * size)
        os.fsync(fd)
        os.ftruncate(fd, max(0, os.fstat(fd).st_size - free_bytes))
        os.fsync(fd)
    finally:
        os.close(fd)


def read_only(folder: Path, _: Crew, effort: Effort) -> Outcome:
    """Let ext4 turn read-only at every step, as it does after an error: what is there goes on being read."""
    base = make(folder / "base.img")
    paces: list[str] = []
    with contextlib.closing(open_site(folder / "calm")) as site:
        play(site, effort.rounds + 1, _ignore, paces.append)
    outcome = Outcome(figures={"possible": len(paces)})
    for step in spread(range(1, len(paces) + 1), effort.most, effort.seed):
        here = folder / f"step-{step}"
        here.mkdir()
        disk = Disk(copy_sparse(base, here / "disk.img"), here / "mnt")
        disk.mount()
        facts: list[str] = []
        try:
            wrong = list(_turned(disk, step, facts, effort.rounds + 1))
        finally:
            disk.unmount()
        wrong += cut(disk.image, disk.folder, "ext4", facts, effort.rounds + 1)
        outcome.add(f"read-only before {paces[step - 1].split()[0]} ({step})", wrong)
        shutil.rmtree(here)
    return outcome


def _turned(disk: Disk, step: int, facts: list[str], rounds: int) -> Iterator[str]:
    """Play until the disk turns read-only; yield what is wrong."""
    left = [step]

    def pace(_: str) -> None:
        left[0] -= 1
        if not left[0]:
            disk.abort()

    with contextlib.closing(open_site(disk.folder / "models")) as site:
        try:
            play(site, rounds, facts.append, pace)
            yield "a disk that only reads took everything"
        except StoreFailed:
            pass
        except Exception as error:  # noqa: BLE001 - any other is what is looked for
            yield f"a disk that only reads is told as {type(error).__name__}: {error}"
        yield from _still_reads(site)
        try:
            site.store.commit(site.store.record(MODEL))
            yield "a record was written on a disk that only reads"
        except StoreFailed:
            pass
    try:  # as a board that starts while its disk can only be read
        with contextlib.closing(open_site(disk.folder / "models")) as site:
            yield from _still_reads(site)
    except Exception as error:  # noqa: BLE001 - whatever it is, what is there should serve
        yield f"the store cannot be opened on a disk that only reads: {type(error).__name__}: {error}"


def _still_reads(site: Site) -> Iterator[str]:
    """Yield what cannot be read of a store that cannot be written."""
    try:
        held = site.store.record(MODEL)
        for ref in (held.active, held.previous, held.candidate):
            if ref is not None:
                site.store.verify(MODEL, ref)
        site.store.quarantined(MODEL, ref_of(bad(1)), NOW_UNIX_S, 0)
        site.store.usage()
        site.trust.floor()
    except (GatewayError, OSError) as error:
        yield f"it cannot be read any more: {error}"


def _ignore(_: str) -> None:
    """Say nothing to anybody."""
