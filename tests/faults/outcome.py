"""What a part of the crash tests has tried and found. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

_T = TypeVar("_T")


@dataclass(slots=True)
class Outcome:
    """The tally of one part.

    Attributes:
        cases: How many faults were tried.
        faults: For each that did harm: which it was, and what is wrong.
        seconds: How long it took.
        figures: Other numbers worth telling.
    """

    cases: int = 0
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0
    figures: dict[str, int | float | str] = field(default_factory=dict)

    def add(self, case: str, wrong: Sequence[str]) -> None:
        """Count a case, and what is wrong after it."""
        self.cases += 1
        if wrong:
            self.faults.append(f"{case}: {'; '.join(wrong)}")

    def count(self, name: str) -> None:
        """Count one more of something."""
        self.figures[name] = int(self.figures.get(name, 0)) + 1


@dataclass(frozen=True, slots=True)
class Effort:
    """How much of everything is tried.

    Attributes:
        seed: Decides every choice; the same seed chooses the same cases.
        rounds: Rounds of the transaction.
        most: Most cases of each part; 0 for all there are.
        stop_at: So many cases that did harm are enough (for mutants); 0 for no bound.
    """

    seed: int
    rounds: int
    most: int
    stop_at: int = 0


SHORT_SEED: Final = 20_240_901
Progress = Callable[[str], None]


def spread(cases: Sequence[_T], most: int, seed: int) -> list[_T]:
    """Return at most so many cases, evenly spread, beginning at a place that the seed decides."""
    if not most or len(cases) <= most:
        return list(cases)
    step = len(cases) / most
    start = (seed % 997) / 997 * step
    return [cases[int(start + index * step)] for index in range(most)]
