"""Runs the soak and says what it saw."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.memory_group import hindrance
from tests.system.soak import COMPRESSION, LIMIT_BYTES, soak


def main() -> int:
    """Run, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1800 / COMPRESSION)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if why := hindrance():
        print(f"soak: {why}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        report = soak(Path(folder), options.seconds)
    figures = dataclasses.asdict(report) | {
        "limit_mib": LIMIT_BYTES >> 20,
        "stands_for_minutes": round(options.seconds * COMPRESSION / 60, 1),
        "worst_relief_s": max(report.relief_s),
    }
    for key, value in figures.items():
        print(f"  {key:20} {value}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))
    return 1 if report.oom_kills or report.lanes_lost else 0


if __name__ == "__main__":
    sys.exit(main())
