"""Builds the gateway's wheel from a copy of what git knows, so that nothing is left in the tree."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.rules.tree import ROOT, files


def build(folder: Path) -> Path:
    """Build the wheel in ``folder``; return it."""
    source = folder / "source"
    for path in files():
        if path.parts[0] == "gateway" or len(path.parts) == 1:
            target = source / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / path).read_bytes())
    options = ["--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(folder), str(source)]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built
