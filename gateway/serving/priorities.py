"""From the priority that a request names to the level at which it waits, within what is configured. Pure."""

from __future__ import annotations

from gateway.configuration.serving_settings import PrioritySettings
from gateway.errors import Malformed


def level_of(priority: int, known: PrioritySettings, *, in_sequence: bool = False) -> int:
    """Return the level of a request: 0 with the board's own frames, below 0 before them, above 0 after.

    Args:
        priority: 1 is first; 0 for a request that names none.
        known: What may be named.
        in_sequence: It is one of a sequence, whose order one level alone keeps: it gets the default's.

    Raises:
        Malformed: There is no such priority.
    """
    if not 0 <= priority <= known.levels:
        raise Malformed(
            f"parameters.priority is {priority}; here it is 1, the first, to {known.levels}, "
            f"or 0, which is {known.default}"
        )
    named = 0 if in_sequence else priority
    return (named or known.default) - known.frames
