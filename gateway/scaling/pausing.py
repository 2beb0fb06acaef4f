"""Which streams wait where memory is short: the lowest priority first, and back in reverse order. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.scaling.demand import ModelDemand


def levels(demands: Iterable[ModelDemand]) -> tuple[int, ...]:
    """Return the priorities of the streams that models serve, rising."""
    return tuple(sorted({priority for demand in demands for priority in demand.priorities}))


class Pausing:
    """The highest priority that is paused; whatever is not higher is paused too."""

    def __init__(self) -> None:
        self.through: int | None = None
        self.changed_s: float | None = None

    def admits(self, priority: int) -> bool:
        """Return whether streams of a priority are taken."""
        return self.through is None or priority > self.through

    def paused(self, known: Sequence[int]) -> tuple[int, ...]:
        """Return those of the priorities that are paused."""
        return tuple(priority for priority in known if not self.admits(priority))

    def next_to_pause(self, known: Sequence[int], *, highest_too: bool) -> int | None:
        """Return the lowest priority that is still admitted; None if none may be paused.

        Args:
            known: Priorities in use, rising.
            highest_too: False to spare the highest one: a gateway that serves nobody helps nobody.
        """
        candidates = known if highest_too else known[:-1]
        return next((priority for priority in candidates if self.admits(priority)), None)

    def pause(self, priority: int, at_s: float) -> None:
        """Pause everything up to a priority."""
        self.through, self.changed_s = priority, at_s

    def resume(self, known: Sequence[int], at_s: float) -> int | None:
        """Admit the highest paused priority again and return it; None if nothing in use was paused."""
        paused = self.paused(known)
        self.through = paused[-2] if len(paused) > 1 else None
        self.changed_s = at_s
        return paused[-1] if paused else None
