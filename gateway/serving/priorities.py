"""From the priority that a request names to the level at which it waits, within what is configured. Pure."""

from __future__ import annotations

from gateway.configuration.serving_settings import PrioritySettings


def level_of(priority: int, known: PrioritySettings, *, in_sequence: bool = False) -> int:
    """Return the level of a request: 0 with the board's own frames, below 0 before them, above 0 after.

    Args:
        priority: 1 is first; 0 for a request that names none. What is beyond the levels counts as none, as
            Triton has it.
        known: What may be named.
        in_sequence: It is one of a sequence, whose order one level alone keeps: it gets the default's.
    """
    is_named = 1 <= priority <= known.levels and not in_sequence
    return (priority if is_named else known.default) - known.frames
