"""The parts of the crash tests: what each tries, what it needs, and how much of it in which tier."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from tests.faults import bad_writes, disk_troubles, power, short_writes, system_calls
from tests.faults.crew import Crew
from tests.faults.mutants import MUTANTS
from tests.faults.needs import FUSE, LOOP, ROOT_USER, work_folder
from tests.faults.outcome import Effort, Outcome

Run = Callable[[Path, Crew, Effort], Outcome]

_MOUNTS: Final = (ROOT_USER, LOOP, "mkfs.ext4")
_RECORDS: Final = (*_MOUNTS, FUSE, "fusermount3")
SHORT: Final = "short"
LONG: Final = "long"


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of fault.

    Attributes:
        sentence: What is true if it finds nothing.
        run: Tries it.
        needs: What the machine must have.
        short: Cases in the short tier.
        rounds: Rounds of the transaction in the long tier, where there is no bound to the cases.
        long: Cases in the long tier; 0 for all there are.
        stop_at: So many cases that do harm are enough in the short tier.
    """

    sentence: str
    run: Run
    needs: tuple[str, ...]
    short: int
    rounds: int = 2
    long: int = 0
    stop_at: int = 0

    def effort(self, tier: str, seed: int) -> Effort:
        """Return how hard to try."""
        if tier == SHORT:
            return Effort(seed, 1, self.short, self.stop_at)
        return Effort(seed, self.rounds, self.long)


PARTS: Final[dict[str, Part]] = {
    "kills": Part(
        "a process killed at any system call leaves the old or the new",
        system_calls.kills,
        (ROOT_USER, "strace"),
        24,
    ),
    "errors": Part(
        "an error of any system call is told in words and loses nothing",
        system_calls.errors,
        (ROOT_USER, "strace"),
        24,
    ),
    "short-writes": Part(
        "a write that takes half of its bytes is gone on with", short_writes.short_writes, ("gcc",), 8
    ),
    "power-ext4": Part(
        "a power cut at any write to ext4 loses nothing acknowledged", power.power_cuts_ext4, _RECORDS, 24
    ),
    "power-xfs": Part(
        "a power cut at any write to xfs loses nothing acknowledged",
        power.power_cuts_xfs,
        (*_RECORDS, "mkfs.xfs"),
        8,
    ),
    "power-recovery": Part(
        "a second power cut while the first is put right loses nothing",
        power.power_cuts_in_recovery,
        _RECORDS,
        12,
        rounds=1,
    ),
    "power-many": Part(
        "a power cut in any of twenty rounds loses nothing acknowledged",
        power.power_cuts_ext4,
        _RECORDS,
        0,
        rounds=20,
        long=200,
    ),
    "failed-writes": Part(
        "a part file whose sync failed is never used again, whatever the page cache says",
        bad_writes.failed_writes,
        _RECORDS,
        8,
    ),
    "shutdowns": Part(
        "an ext4 that is shut down at any step loses nothing acknowledged",
        disk_troubles.shutdowns,
        _MOUNTS,
        12,
    ),
    "full-disks": Part(
        "a full disk is told in words, and records still fit", disk_troubles.full_disks, _MOUNTS, 10
    ),
    "read-only": Part(
        "a disk that turns read-only at any step goes on being read",
        disk_troubles.read_only,
        _MOUNTS,
        10,
        rounds=1,
    ),
    "control-syncs": Part(
        "a store without any single one of its syncs is caught by the same tests",
        power.controls_of_syncs,
        _RECORDS,
        0,
        rounds=1,
        long=120,
    ),
} | {
    f"control-{mutant}": Part(
        f"a store with the mistake {mutant} is caught by the same tests",
        partial(power.control, mutant),
        _RECORDS,
        40 if mutant != "sync_again" else 3,
        rounds=1,
        stop_at=1,
    )
    for mutant in MUTANTS
}
# A part without cases in the short tier is for the long one.
SHORT_PARTS: Final = tuple(name for name, part in PARTS.items() if part.short)


def run_part(name: str, effort: Effort, crew: Crew | None = None) -> Outcome:
    """Run one part in a folder of its own that is removed.

    Args:
        name: Which.
        effort: How hard to try.
        crew: Runs its cases; None to start one.
    """
    part = PARTS[name]
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(prefix=f"crashtest-{name}-", dir=work_folder())
        )
        work = Path(folder) / "work"
        work.mkdir()
        runner = crew or stack.enter_context(Crew(Path(folder) / "crew.err"))
        outcome = part.run(work, runner, effort)
    outcome.seconds = time.monotonic() - began
    return outcome
