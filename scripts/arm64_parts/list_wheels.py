"""Which packages arm64 boards would get: for each Python and C library, asked of the package index by pip.

    .venv-test-3.11/bin/python scripts/arm64_parts/list_wheels.py [--json]

Only wheels count, for a board has no time to compile; nothing is downloaded but descriptions. Ends by 1 if a
combination has no solution.
"""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.arm64.wheel_tags import options, requirements

PYTHONS: Final = ("3.10", "3.11", "3.12", "3.13")
# Ubuntu 18.04 (JetPack 4), 20.04 (5), 22.04 (6), 24.04 (7).
GLIBCS: Final = (27, 31, 35, 39)
_LIMIT_S: Final = 300


def solve(python: str, glibc: int) -> tuple[dict[str, str], str]:
    """Return the version of each package that pip would install, or nothing and what it says."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--ignore-installed"]
    command += ["--disable-pip-version-check", "--target", "/nonexistent", "--report", "-"]
    done = subprocess.run(
        [*command, *options(python, glibc), *requirements()],
        check=False,
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
    )
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        return {}, "; ".join(said)[-300:]
    entries = json.loads(done.stdout)["install"]
    return {each["metadata"]["name"].lower(): each["metadata"]["version"] for each in entries}, ""


def main() -> int:
    """Print what every combination gets; return the exit code."""
    cases = [(python, glibc) for python in PYTHONS for glibc in GLIBCS]
    with ThreadPoolExecutor(2) as pool:
        solved = list(pool.map(lambda case: solve(*case), cases))
    if "--json" in sys.argv:
        rows = [
            {"python": p, "glibc": f"2.{g}", "versions": v, "error": e}
            for (p, g), (v, e) in zip(cases, solved, strict=True)
        ]
        print(json.dumps(rows, indent=1))
    else:
        for (python, glibc), (versions, error) in zip(cases, solved, strict=True):
            told = ("onnxruntime", "ai-edge-litert", "numpy", "pillow", "simplejpeg")
            words = error or ", ".join(f"{name} {versions[name]}" for name in told)
            print(f"Python {python}, C library 2.{glibc}: {words}")
    return 1 if any(error for _, error in solved) else 0


if __name__ == "__main__":
    sys.exit(main())
