"""Names that a reader may have meant."""

from __future__ import annotations

import difflib

_MAX_COMPARED = 500


def nearest(name: str, known: list[str]) -> str:
    """Return words that name the known key nearest to ``name``, or list the keys when none is near."""
    close = difflib.get_close_matches(name[:64], known[:_MAX_COMPARED], 1, 0.6)
    if close:
        return f"did you mean {close[0]}?"
    if not known:
        return "none is known"
    return "known: " + ", ".join(known[:12]) + (" ..." if len(known) > 12 else "")
