"""Runs the parts of the crash tests that were asked for, prints a table, and fails if one did harm."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import sys
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.faults.needs import missing  # noqa: E402 - the path comes first
from tests.faults.outcome import SHORT_SEED, Effort, Outcome  # noqa: E402
from tests.faults.parts import LONG, PARTS, SHORT, SHORT_PARTS, run_part  # noqa: E402

_FAULTS_SHOWN = 10


def main() -> int:
    """Run and print; return the exit code: 0 for nothing wrong, 1 for harm done, 2 for a part not tried."""
    options = _options()
    seed = options.seed
    if seed is None:
        seed = SHORT_SEED if options.tier == SHORT else random.SystemRandom().randrange(1 << 30)
    names = options.parts or (SHORT_PARTS if options.tier == SHORT else tuple(PARTS))
    print(f"crashtest: {options.tier}, seed {seed}\n{'part':26} {'cases':>6} {'harm':>5} {'s':>7}")
    found: dict[str, object] = {"tier": options.tier, "seed": seed}
    lacking = {name: missing(PARTS[name].needs) for name in names}
    worst = 0
    for name in (name for name in names if lacking[name]):
        print(f"{name:26} NOT TRIED: {', '.join(lacking[name])} is not there")
        found[name] = {"not tried": lacking[name]}
        worst = 2
    able = [name for name in names if not lacking[name]]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, mp_context=context) as pool:
        jobs: dict[Future[Outcome], str] = {
            pool.submit(run_part, name, _effort(options, name, seed)): name for name in able
        }
        for job in as_completed(jobs):
            fault = job.exception()
            # A part that fails by itself has tried nothing that counts; the others go on.
            outcome = job.result() if fault is None else Outcome(faults=[f"the part broke: {fault!r}"])
            found[jobs[job]] = asdict(outcome)
            _show(jobs[job], outcome)
            if outcome.faults or not outcome.cases:
                worst = 1
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=1))
    return worst


def _effort(options: argparse.Namespace, name: str, seed: int) -> Effort:
    effort = PARTS[name].effort(options.tier, seed)
    asked = {"most": options.most, "rounds": options.rounds}
    return replace(effort, **{key: value for key, value in asked.items() if value is not None})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tier", choices=[SHORT, LONG])
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="all of the tier when none is named")
    parser.add_argument("--seed", type=int, help="choose the same cases again")
    parser.add_argument("--most", type=int, help="cases of each part at most, evenly spread; 0 for all")
    parser.add_argument("--rounds", type=int, help="rounds of the transaction")
    parser.add_argument("--jobs", type=int, default=2, help="parts at the same time")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    return parser.parse_args()


def _show(name: str, outcome: Outcome) -> None:
    figures = ", ".join(f"{key}: {value}" for key, value in outcome.figures.items())
    print(
        f"{name:26} {outcome.cases:6} {len(outcome.faults):5} {outcome.seconds:7.1f}  {figures[:150]}",
        flush=True,
    )
    for fault in outcome.faults[:_FAULTS_SHOWN]:
        print(f"    {fault}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
