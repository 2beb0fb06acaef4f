"""Where in a file a key or value stands, by its dotted path."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.config_issue import ConfigIssue


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A spot in a text.

    Attributes:
        line: 1-based line.
        column: 1-based column, in characters.
    """

    line: int
    column: int


START = Place(1, 1)


@dataclass(frozen=True, slots=True)
class Positions:
    """The place of every key and value that was read from one file.

    Attributes:
        file: Path of the file, as the user gave it.
        places: Place by dotted path (``pipelines.door.preprocess[1].resize``).
    """

    file: str
    places: dict[str, Place] = field(default_factory=dict)

    def at(self, path: str) -> Place:
        """Return the place of ``path``, or of the nearest part above it that is in the file."""
        while path:
            place = self.places.get(path)
            if place is not None:
                return place
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.places.get("", START)

    def issue(self, path: str, what: str) -> ConfigIssue:
        """Return an issue that points at ``path``."""
        place = self.at(path)
        return ConfigIssue(self.file, place.line, place.column, path, what)
