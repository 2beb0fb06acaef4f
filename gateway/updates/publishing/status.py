"""What an author wants to know of a repository: roles, keys, releases, assignments, what waits. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gateway.updates.assignment import Assignment


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """One key.

    Attributes:
        keyid: Its id.
        place: File of its private half; empty if it is not at hand.
    """

    keyid: str
    place: str


@dataclass(frozen=True, slots=True)
class RoleStatus:
    """One role.

    Attributes:
        name: Which.
        version: Newest version.
        expires_unix_s: When its signature expires.
        due: True if it should be signed anew.
        threshold: How many keys must sign.
        keys: All of its keys.
    """

    name: str
    version: int
    expires_unix_s: int
    due: bool
    threshold: int
    keys: tuple[KeyStatus, ...]


@dataclass(frozen=True, slots=True)
class RepositoryStatus:
    """A repository.

    Attributes:
        folder: Where it lies.
        profile: ``online`` or ``air-gapped``.
        roles: Every role.
        releases: Numbers of the releases by model, rising.
        assignments: By group.
        unpublished: True if boards do not see the newest changes yet.
    """

    folder: str
    profile: str
    roles: tuple[RoleStatus, ...]
    releases: Mapping[str, tuple[int, ...]]
    assignments: Mapping[str, Assignment]
    unpublished: bool

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "folder": self.folder,
            "profile": self.profile,
            "unpublished": self.unpublished,
            "roles": [asdict(role) for role in self.roles],
            "releases": {model: list(numbers) for model, numbers in self.releases.items()},
            "assignments": {group: asdict(each) for group, each in self.assignments.items()},
        }
