"""Looks for words in a file of any size, piece by piece: nobody else of this process waits for it.

A search in mapped bytes holds the interpreter until it is over, half a second for
256 MB: requests would wait for as long. Reading lets others work meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

PIECE_BYTES: Final = 1 << 16


def holds_any(path: Path, words: Sequence[bytes], piece_bytes: int = PIECE_BYTES) -> bool:
    """Return whether any of the words stands in a file.

    Args:
        path: The file.
        words: What to look for; none empty.
        piece_bytes: How much is looked at without a pause.

    Raises:
        OSError: It cannot be read.
    """
    overlap = max(len(word) for word in words) - 1
    with path.open("rb", buffering=0) as file:
        tail = b""
        while piece := file.read(piece_bytes):
            part = tail + piece
            if any(word in part for word in words):
                return True
            tail = part[-overlap:] if overlap else b""
    return False
