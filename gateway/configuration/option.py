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
        minimum: Least number allowed; of each item in a list of numbers.
        maximum: Greatest number allowed; of each item in a list of numbers.
        pattern: Regular expression that a string must match whole.
        choices: The only values allowed.
        keys: Regular expression that every key of a mapping must match whole.
        references: Whether a string may be a ``${...}`` reference (a ``Secret`` always may).
    """

    doc: str
    minimum: float | None = None
    maximum: float | None = None
    pattern: str | None = None
    choices: tuple[str, ...] = ()
    keys: str | None = None
    references: bool = False


def option(doc: str, default: Any = MISSING, *, factory: Any = MISSING, **details: Any) -> Any:
    """Declare one key of a settings dataclass; without a default it is required.

    Args:
        doc: One sentence about the key.
        default: Value when the key is absent.
        factory: Makes that value when it is a mapping.
        details: The further attributes of ``Option``.
    """
    metadata = {"option": Option(doc, **details)}
    if factory is not MISSING:
        return dataclasses.field(default_factory=factory, metadata=metadata)
    if default is not MISSING:
        return dataclasses.field(default=default, metadata=metadata)
    return dataclasses.field(metadata=metadata)
