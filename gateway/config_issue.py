"""One thing wrong with a configuration file: where, and what to do. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConfigIssue:
    """One thing wrong with a configuration file.

    Attributes:
        file: Path of the file, as the user gave it.
        line: 1-based line; 0 when the issue has no place.
        column: 1-based column; 0 when the issue has no place.
        path: Dotted path of the key, such as ``pipelines.door.model``.
        what: What is wrong and what to do, with the nearest known key.
    """

    file: str
    line: int
    column: int
    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.path}: {self.what}"
