"""Runs the cases that were asked for, prints a table, keeps the figures as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import cases
import harness
import lane_cases
import update_cases

CASES = {**cases.CASES, **update_cases.CASES, **lane_cases.CASES}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", choices=[[], *CASES], help="all when none is named")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, default=harness.ROOT / "var" / "bench.json")
    options = parser.parse_args()
    options.json.parent.mkdir(parents=True, exist_ok=True)
    figures: dict[str, object] = {"machine": harness.machine()}
    print(f"machine: {figures['machine']}")
    for name in options.cases or CASES:
        figures[name] = seen = CASES[name](options.rounds)
        print(f"\n{name}: {CASES[name].__doc__}")
        for key, value in seen.items():
            print(f"  {key:30} {value}")
        options.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
