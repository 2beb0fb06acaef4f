"""The roles of an author's repository: their keys, what they may sign, how long a signature holds. Pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

DAY_S: Final = 86_400
ROOT: Final = "root"
TARGETS: Final = "targets"
SNAPSHOT: Final = "snapshot"
TIMESTAMP: Final = "timestamp"
MODELS: Final = "models"
ASSIGN: Final = "assign"
TOP: Final = (ROOT, TARGETS, SNAPSHOT, TIMESTAMP)
# What a delegated role may sign; `*` does not cross a slash.
PATHS: Final[Mapping[str, str]] = {MODELS: "models/*/*", ASSIGN: "assign/*"}
ROLES: Final = (*TOP, *PATHS)
# Keys that are wanted once in months, and lie in a drawer between.
OFFLINE: Final = frozenset({ROOT, TARGETS})


class Profile(enum.Enum):
    """How often somebody can sign the repository's state anew."""

    ONLINE = "online"
    AIR_GAPPED = "air-gapped"


@dataclass(frozen=True, slots=True)
class Keys:
    """How many keys a role has, and how many must sign."""

    count: int
    threshold: int


_ONE: Final = Keys(1, 1)
_KEYS: Final[Mapping[str, Keys]] = {ROOT: Keys(3, 2)}
_DAYS: Final[Mapping[str, int]] = {
    ROOT: 365,
    TARGETS: 90,
    SNAPSHOT: 7,
    TIMESTAMP: 1,
    # A frozen repository shows by its timestamp; these need not expire for that.
    MODELS: 365,
    ASSIGN: 365,
}
_AIR_GAPPED_DAYS: Final = 90


def keys_of(role: str) -> Keys:
    """Return how many keys a new repository has for a role."""
    return _KEYS.get(role, _ONE)


def lifetime_s(role: str, profile: Profile) -> int:
    """Return for how many seconds a signature of a role holds."""
    if profile is Profile.AIR_GAPPED and role in (SNAPSHOT, TIMESTAMP):
        return _AIR_GAPPED_DAYS * DAY_S
    return _DAYS[role] * DAY_S


def is_due(expires_unix_s: float, now_unix_s: float, lifetime: int) -> bool:
    """Say whether a signature should be made anew: a third of its life is left, or less."""
    return expires_unix_s - now_unix_s <= lifetime / 3
