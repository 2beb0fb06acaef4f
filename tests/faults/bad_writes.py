"""Lets single writes of the disk fail: the first sync says so, the second would not, and bytes are gone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from tests.faults.crew import Crew
from tests.faults.ext4 import make
from tests.faults.outcome import Effort, Outcome, spread
from tests.faults.recorder import FAILED, WRITE
from tests.faults.recording import Recorded, record
from tests.faults.replay import copy_sparse, cut
from tests.faults.transaction import good
from tests.faults.workload import BROKE, Case
from tests.updates.store.transaction import contents

PAGE_BYTES: Final = 4096
_TRIES: Final = 4


def failed_writes(folder: Path, crew: Crew, effort: Effort, mutant: str = "") -> Outcome:
    """Let one write fail: pages of the model, records, and any write by its number."""
    base = make(folder / "base.img")
    case = Case("", effort.rounds, "", mutant, neighbour="" if mutant else "yes", tries=_TRIES)
    pages = [f"={needle.hex()}" for needle in _needles()]
    if mutant:
        numbers: list[str] = []
    else:
        calm = _run(base, folder / "calm", crew, case, "")
        writes = sum(1 for event in calm.events if event.kind == WRITE)
        numbers = [str(number) for number in range(1, writes + 1)]
    most = max(0, effort.most - len(pages))
    outcome = Outcome(figures={"possible": len(pages) + len(numbers)})
    for order in pages + (spread(numbers, most, effort.seed) if most or not effort.most else []):
        here = folder / f"write-{order[:17].strip('=')}"
        seen = _run(base, here, crew, case, order)
        outcome.add(f"write {order[:17]} failed", _wrong(seen, order) + _after(seen, here, effort.rounds))
        outcome.count(
            "told and tried again"
            if any("Failed" in word for word in seen.ending.words)
            else "nobody was told"
        )
        shutil.rmtree(here)
        if effort.stop_at and len(outcome.faults) >= effort.stop_at:
            break
    return outcome


def _needles() -> list[bytes]:
    """Return what some pages begin with: three of the model, and those of files that are written whole."""
    weights = contents(good(1))["weights.tflite"]
    starts = (0, len(weights) // 2 // PAGE_BYTES * PAGE_BYTES, len(weights) // PAGE_BYTES * PAGE_BYTES)
    pages = [weights[start : start + 16] for start in starts]
    return [*pages, contents(good(1))["golden/one.npy"][:16], b'{"active":null,', b'{"assignments":[']


def _run(base: Path, folder: Path, crew: Crew, case: Case, order: str) -> Recorded:
    folder.mkdir()
    return record(folder, crew, copy_sparse(base, folder / "disk.img"), "ext4", case, order)


def _wrong(seen: Recorded, order: str) -> list[str]:
    wrong = [f"a part file was used again: {fact}" for fact in seen.ending.facts if fact.startswith("reused")]
    if seen.ending.status == BROKE:
        wrong.append(f"an error that has no name came out: {' '.join(seen.ending.words)[-400:]}")
    if order.startswith("=") and not any(event.kind == FAILED for event in seen.events):
        wrong.append("the write that should fail never came")
    return wrong


def _after(seen: Recorded, folder: Path, rounds: int) -> list[str]:
    facts = [fact for fact in seen.ending.facts if not fact.startswith("reused")]
    return cut(folder / "disk.img", folder / "after", "ext4", facts, rounds)
