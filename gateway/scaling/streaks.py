"""Conditions that must last for some samples in a row; a gap or another source begins them anew. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Streak:
    """Counts samples in a row in which something held."""

    count: int = 0

    def note(self, *, holds: bool) -> None:
        """Count one sample, or begin anew."""
        self.count = self.count + 1 if holds else 0

    def reset(self) -> None:
        """Begin anew."""
        self.count = 0


@dataclass(slots=True)
class ModelMemory:
    """What is remembered of one model.

    Attributes:
        demand: Samples in a row in which it wanted another lane.
        unneeded_since_s: Since when one lane fewer would do; None if it would not.
        changed_s: When the policy last changed its lanes; None if it never did.
    """

    demand: Streak = field(default_factory=Streak)
    unneeded_since_s: float | None = None
    changed_s: float | None = None

    def begin_anew(self) -> None:
        """Forget what must have lasted; what was done is kept."""
        self.demand.reset()
        self.unneeded_since_s = None

    def note_need(self, at_s: float, *, needed: bool) -> None:
        """Note whether every lane is needed now."""
        if needed:
            self.unneeded_since_s = None
        elif self.unneeded_since_s is None:
            self.unneeded_since_s = at_s

    def unneeded_s(self, at_s: float) -> float:
        """Return for how long one lane fewer would have done."""
        return 0.0 if self.unneeded_since_s is None else at_s - self.unneeded_since_s

    def cools_down_s(self, at_s: float, cooldown_s: float) -> float:
        """Return for how long its lanes must still be left alone; 0 if they need not."""
        return 0.0 if self.changed_s is None else max(0.0, self.changed_s + cooldown_s - at_s)
