"""Which models that are loaded on demand make room for others: the least recently used first. Pure.

Rules (each a property in ``tests/scaling/test_unloading.py``):

1. What is in use, or held by something else, or was loaded or asked only just now, is never unloaded.
2. Of the rest those go first that were not asked for the longest.
3. No more go than are needed; none, if all together would not make enough room.
4. What was not measured gives back nothing that could be counted on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.scaling.sample import DeviceMemory


@dataclass(frozen=True, slots=True)
class OnDemand:
    """One loaded model that may be unloaded, because its next request would load it again.

    Attributes:
        model: Its name.
        loaded_s: When it began to serve, monotonic seconds.
        used_s: When it was last asked, monotonic seconds.
        cost_bytes: What its lanes were measured to take; None if unknown.
        in_use: Whether requests wait for it or run on it, or something else holds it.
    """

    model: str
    loaded_s: float
    used_s: float
    cost_bytes: int | None = None
    in_use: bool = False


@dataclass(frozen=True, slots=True)
class Stay:
    """How long a model stays.

    Attributes:
        loaded_s: At least so long after its load, in seconds: what is loaded in turn serves nobody.
        quiet_s: And so long after it was last asked.
    """

    loaded_s: float
    quiet_s: float = 1.0


def may_go(loaded: OnDemand, now_s: float, stay: Stay) -> bool:
    """Return whether a model may be unloaded now."""
    stayed = now_s - loaded.loaded_s >= stay.loaded_s and now_s - loaded.used_s >= stay.quiet_s
    return stayed and not loaded.in_use


def spare_bytes(memory: DeviceMemory, high_mark: float, reserve_bytes: int) -> int:
    """Return how much can be taken without coming above the mark or into the reserve; may be below 0."""
    return memory.available_bytes - max(reserve_bytes, int((1.0 - high_mark) * memory.total_bytes))


def make_room(
    needed_bytes: int, free_bytes: int, loaded: Iterable[OnDemand], clock: tuple[float, Stay]
) -> tuple[str, ...] | None:
    """Choose what is unloaded so that another model fits.

    Args:
        needed_bytes: What the other model takes.
        free_bytes: What can be taken already.
        loaded: Models that are loaded on demand, on the same memory.
        clock: Now, in monotonic seconds, and how long models stay.

    Returns:
        Models in the order in which they go; None if there cannot be made enough room.
    """
    now_s, stay = clock
    gone: list[str] = []
    for each in _oldest_first([each for each in loaded if may_go(each, now_s, stay)]):
        if free_bytes >= needed_bytes:
            break
        if each.cost_bytes:
            free_bytes += each.cost_bytes
            gone.append(each.model)
    return tuple(gone) if free_bytes >= needed_bytes else None


def _oldest_first(loaded: Sequence[OnDemand]) -> list[OnDemand]:
    return sorted(loaded, key=lambda each: (each.used_s, each.model))
