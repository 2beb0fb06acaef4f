"""``python -m models_parts ROOT [--check | --verify | --take]``: what ``scripts/make-models`` runs."""

from __future__ import annotations

import sys
from pathlib import Path

from models_parts import motion, taken


def main(root: Path, what: str) -> int:
    """Do one of the things; return the exit code."""
    if what == "--check":
        return 0 if motion.make(root, write=False) else 1
    if what == "--verify":
        return 0 if taken.verify(root, write=False) else 1
    if what == "--take":
        taken.verify(root, write=True)
    else:
        motion.make(root, write=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""))
