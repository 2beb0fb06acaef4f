"""Cuts the power of a recorded disk everywhere: of the product, of its recovery, and of known mistakes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from tests.faults.bad_writes import failed_writes
from tests.faults.crew import Crew
from tests.faults.ext4 import EXT4, XFS, make
from tests.faults.mutants import SYNCS
from tests.faults.outcome import Effort, Outcome, spread
from tests.faults.recording import Recorded, facts_of, record
from tests.faults.replay import Rebuilder, copy_sparse, power_cuts, states
from tests.faults.workload import DONE, Case

# Prefixes of each recovery that is itself cut.
_OF_A_RECOVERY = 6


def power_cuts_ext4(folder: Path, crew: Crew, effort: Effort) -> Outcome:
    """Replay every prefix of what ext4 told its disk."""
    return _on(EXT4, folder, crew, effort)


def power_cuts_xfs(folder: Path, crew: Crew, effort: Effort) -> Outcome:
    """Replay every prefix of what xfs told its disk."""
    return _on(XFS, folder, crew, effort)


def _on(kind: str, folder: Path, crew: Crew, effort: Effort, mutant: str = "") -> Outcome:
    base = make(folder / "base.img", kind)
    seen = _recorded(base, folder / "run", crew, kind, effort, mutant)
    return power_cuts(base, seen.events, folder / "cuts", kind, effort)


def _recorded(base: Path, folder: Path, crew: Crew, kind: str, effort: Effort, mutant: str = "") -> Recorded:
    """Record a run from its start to its end on a copy of an image."""
    folder.mkdir()
    case = Case("", effort.rounds, "", mutant, neighbour="yes")
    seen = record(folder, crew, copy_sparse(base, folder / "disk.img"), kind, case)
    assert seen.ending.status == DONE, seen.ending
    (folder / "disk.img").unlink()
    return seen


def power_cuts_in_recovery(folder: Path, crew: Crew, effort: Effort) -> Outcome:
    """Cut the power, and once more while what is left is put right and goes on."""
    base = make(folder / "base.img")
    first = _recorded(base, folder / "first", crew, EXT4, effort)
    work = folder / "states"
    work.mkdir()
    rebuilder = Rebuilder(base, first.events, work, effort.seed)
    firsts = states(first.events)
    outcome = Outcome(figures={"first cuts": 0})
    inner = replace(effort, most=_OF_A_RECOVERY if effort.most else 6 * _OF_A_RECOVERY)
    for state in spread(firsts, effort.most // _OF_A_RECOVERY or 100, effort.seed):
        facts = [fact for event in first.events[: state.upto] for fact in facts_of(event)]
        image = rebuilder.image(state)
        again = _recorded(image, folder / "again", crew, EXT4, effort)
        second = power_cuts(image, again.events, folder / "cuts", EXT4, inner, before=facts)
        outcome.cases += second.cases
        outcome.faults += [f"{state}, then {fault}" for fault in second.faults]
        outcome.count("first cuts")
        shutil.rmtree(folder / "again")
    return outcome


def controls_of_syncs(folder: Path, crew: Crew, effort: Effort) -> Outcome:
    """Leave out one sync after another, and look for the harm of each; to find none is the fault."""
    outcome = Outcome()
    for number, point in enumerate(SYNCS):
        here = folder / str(number)
        here.mkdir()
        seen = control(f"without:{point}", here, crew, replace(effort, stop_at=1))
        outcome.cases += seen.cases
        outcome.faults += seen.faults
        outcome.figures[point] = f"noticed at case {seen.cases}" if not seen.faults else "not noticed"
        shutil.rmtree(here)
    return outcome


def control(mutant: str, folder: Path, crew: Crew, effort: Effort) -> Outcome:
    """Look for the harm that a known mistake does; to find none is the fault."""
    if mutant == "sync_again":
        seen = failed_writes(folder, crew, effort, mutant)
    else:
        seen = _on(EXT4, folder, crew, effort, mutant)
    outcome = Outcome(seen.cases, figures={**seen.figures, "noticed": len(seen.faults)})
    if seen.faults:
        outcome.figures["such as"] = seen.faults[0]
    else:
        outcome.faults.append(f"the harness is blind: {mutant} did no harm in {seen.cases} cases")
    return outcome
