"""Folders in which built engines are kept, named by all that an engine rests on, weights first.

TensorRT finds an engine by the model's file name and graph, so it would serve the
old weights of a model that was updated; and an engine of another release, GPU or
power mode is refused or slow. Here each of these has a folder of its own. Only
the process that proves a model writes to one; what it left when it failed is deleted.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Final

from gateway.inference.engines.board import Board

_FORMAT: Final = 1
_NAME: Final = re.compile(r"[0-9a-f]{64}-[0-9a-f]{32}")
MOST_FOLDERS: Final = 32


class EngineCache:
    """One folder of folders of engines. The front end makes and deletes them.

    Args:
        folder: Where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def place(self, sha256: str, board: Board, told: tuple[str, str, int]) -> Path:
        """Return where the engines of a model file lie on this board; nothing is made.

        Args:
            sha256: Digest of the model file, in hex.
            board: What the board has now.
            told: Backend, precision, and bytes of workspace.
        """
        rests_on = [
            _FORMAT,
            board.runtime_version,
            board.tensorrt,
            board.sm,
            board.soc,
            board.l4t,
            board.power_mode,
            board.processor.architecture,
            *told,
        ]
        digest = hashlib.sha256(json.dumps(rests_on).encode()).hexdigest()
        return self._folder / f"{sha256}-{digest[:32]}"

    def make(self, place: Path) -> bool:
        """Make the folder of ``place``, and make room for it; return False if that cannot be written."""
        try:
            place.mkdir(mode=0o755, parents=True, exist_ok=True)
        except OSError:
            return False
        self._prune(place)
        return True

    def drop(self, place: Path) -> None:
        """Delete what lies at ``place``, such as the half of an engine."""
        if _NAME.fullmatch(place.name) and place.parent == self._folder:
            shutil.rmtree(place, ignore_errors=True)

    def forget(self, sha256: str) -> int:
        """Delete all engines of the file with this digest; return how many folders they were in."""
        found = [place for place in self._places() if place.name.startswith(f"{sha256}-")]
        for place in found:
            self.drop(place)
        return len(found)

    def _prune(self, kept: Path) -> None:
        """Delete the folders that were made first, but for one."""
        dated = []
        for place in self._places():
            with contextlib.suppress(OSError):
                dated.append((place.stat().st_mtime_ns, place))
        for _, place in sorted(dated)[:-MOST_FOLDERS]:
            if place != kept:
                self.drop(place)

    def _places(self) -> list[Path]:
        try:
            return [place for place in self._folder.iterdir() if _NAME.fullmatch(place.name)]
        except OSError:
            return []


def is_filled(folder: str) -> bool:
    """Say whether engines lie in a folder; true for an empty name, where none are kept."""
    if not folder:
        return True
    try:
        return any(Path(folder).iterdir())
    except OSError:
        return False
