"""One declaration per configuration key: default, limits, unit and words for the docs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

MISSING = dataclasses.MISSING


@dataclass(frozen=True, slots=True)
class Option:
    """What is known of a key besides its type.

    Attributes:
        doc: One sentence for the documented default file, the schema and the docs.
        minimum: Least number allowed.
        maximum: Greatest number allowed.
        pattern: Regular expression that a string must match whole.
        choices: The only values allowed.
    """

    doc: str
    minimum: float | None = None
    maximum: float | None = None
    pattern: str | None = None
    choices: tuple[str, ...] = ()


def option(
    doc: str,
    default: Any = MISSING,
    *,
    factory: Any = MISSING,
    minimum: float | None = None,
    maximum: float | None = None,
    pattern: str | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """Declare one key of a settings dataclass; without a default it is required."""
    metadata = {"option": Option(doc, minimum, maximum, pattern, choices)}
    if factory is not MISSING:
        return dataclasses.field(default_factory=factory, metadata=metadata)
    if default is not MISSING:
        return dataclasses.field(default=default, metadata=metadata)
    return dataclasses.field(metadata=metadata)
