"""Cuts each write of a transaction short, by a library that stands before the system's."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from tests.faults.crew import Crew, Ending
from tests.faults.ext4 import command
from tests.faults.oracles import judge
from tests.faults.outcome import Effort, Outcome, spread
from tests.faults.workload import DONE, Case

_NEVER: Final = 1_000_000


def short_writes(folder: Path, _: Crew, effort: Effort) -> Outcome:
    """Let the system take half of what it is given, at every write."""
    shim = folder / "short_writes.so"
    source = Path(__file__).with_name("short_writes.c")
    command("gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o", shim, source, "-ldl")
    with Crew(folder / "crew.err", preload=shim) as crew:
        calm = _run(folder / "calm", crew, effort, _NEVER)
        writes = _NEVER - _to_go(calm)
        assert writes, "the library does not stand before the system's"
        outcome = Outcome(figures={"possible": writes})
        for number in spread(range(1, writes + 1), effort.most, effort.seed):
            here = folder / f"write-{number}"
            ending = _run(here, crew, effort, number)
            wrong = [] if ending.status == DONE else [f"it ended by {ending.status}: {ending.words}"]
            if ending.status == DONE and _to_go(ending):
                wrong.append("no write was cut")
            outcome.add(f"write {number} cut", wrong + judge(here / "models", ending.facts, effort.rounds))
            shutil.rmtree(here)
    return outcome


def _run(folder: Path, crew: Crew, effort: Effort, number: int) -> Ending:
    folder.mkdir()
    marks = str(folder / "marks")
    return crew.run(Case(str(folder / "models"), effort.rounds, marks, shutdown_at=-1, short_at=number))


def _to_go(ending: Ending) -> int:
    return int(next(word for word in ending.words if word.startswith("writes to go")).split()[-1])
