"""Runs the cases that were asked for, prints a table, keeps the figures as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import against_cases
import cases
import collector_cases
import flat_cases
import harness
import lane_cases
import memory_cases
import reload_cases
import scaling_cases
import serving_cases
import update_cases

CASES = {
    **cases.CASES,
    **update_cases.CASES,
    **lane_cases.CASES,
    **scaling_cases.CASES,
    **memory_cases.CASES,
    **collector_cases.CASES,
    **serving_cases.CASES,
    **flat_cases.CASES,
    **reload_cases.CASES,
    **against_cases.CASES,
}
_COUNTED = (*serving_cases.CASES, *flat_cases.CASES)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", choices=[[], *CASES], help="all when none is named")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, default=harness.ROOT / "var" / "bench.json")
    parser.add_argument(
        "--plots", type=Path, default=scaling_cases.PLOTS, help="folder for the plots of scaling"
    )
    parser.add_argument(
        "--requests", type=int, default=100_000, help="how many memory is held against: serving, flat"
    )
    parser.add_argument("--ref", default="HEAD", help="commit that this tree is measured beside: against")
    options = parser.parse_args()
    options.json.parent.mkdir(parents=True, exist_ok=True)
    figures: dict[str, object] = {"machine": harness.machine()}
    print(f"machine: {figures['machine']}")
    failed = False
    for name in options.cases or CASES:
        more = {"plots": options.plots} if name in scaling_cases.CASES else {}
        more |= {"requests": options.requests} if name in _COUNTED else {}
        more |= {"ref": options.ref} if name in against_cases.CASES else {}
        figures[name] = seen = CASES[name](options.rounds, **more)
        failed = failed or bool(seen.get("failed"))
        print(f"\n{name}: {CASES[name].__doc__}")
        for key, value in seen.items():
            print(f"  {key:30} {value}")
        options.json.write_text(json.dumps(figures, indent=1))
    sys.exit(failed)


if __name__ == "__main__":
    main()
