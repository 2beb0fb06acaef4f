"""A string that never shows itself in logs, errors or dumps."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Secret:
    """Wraps a secret value; ``str`` and ``repr`` hide it.

    Attributes:
        value: The secret itself; only the connection that needs it reads this.
    """

    value: str = field(repr=False)

    def __str__(self) -> str:
        return "***" if self.value else ""
