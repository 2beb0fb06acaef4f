"""The versions below which nothing is believed again, whatever became of the cached metadata. Pure.

python-tuf remembers versions in its cache alone; an emptied cache makes an old
repository acceptable. This memory is kept apart and synced. A role's versions
begin anew only when a key that could have signed them was revoked by a newer
root (for ``models`` and ``assign``: by newer targets): so a thief of an online
key who signs version 999999 locks nobody out for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.errors import ManifestRefused, StoreFailed, TrustFailed
from gateway.updates.names import checked_word
from gateway.updates.store.sealed import seal, unseal

SCHEMA: Final = 1
MOST_FLOOR_BYTES: Final = 64 << 10
_MOST_GROUPS: Final = 64
_ASSIGN: Final = "assign"


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a role has come.

    Attributes:
        version: The greatest version that was accepted.
        keys: Key ids that could sign the role then, sorted.
    """

    version: int
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Floor:
    """How far everything has come.

    Attributes:
        root: The greatest version of the root that was ever verified.
        roles: By role: ``timestamp``, ``snapshot``, ``targets``, ``models``, ``assign``.
        assignments: The greatest version of the assignment, by group.
    """

    root: int = 0
    roles: Mapping[str, Mark] = field(default_factory=dict)
    assignments: Mapping[str, int] = field(default_factory=dict)


def check_root(floor: Floor, version: int) -> None:
    """Check that a root is none of yesterday's.

    Raises:
        TrustFailed: A newer one was seen.
    """
    if version < floor.root:
        raise TrustFailed(
            f"root: version {version}, but {floor.root} was seen before: somebody replays an old repository; "
            "if it was begun anew on purpose, remove the folder trust of the model store",
            role="root",
        )


def check_roles(floor: Floor, seen: Mapping[str, Mark]) -> None:
    """Check that no role goes back.

    Raises:
        TrustFailed: One does.
    """
    for role, mark in seen.items():
        before = floor.roles.get(role)
        if before and not _is_revoked(before, mark) and mark.version < before.version:
            raise TrustFailed(
                f"{role}: version {mark.version}, but {before.version} was accepted before: "
                "somebody replays an old repository",
                role=role,
            )


def raised(floor: Floor, root: int, seen: Mapping[str, Mark]) -> Floor:
    """Return the floor after these versions were accepted; it falls only where a key was revoked."""
    roles = dict(floor.roles)
    for role, mark in seen.items():
        before = roles.get(role)
        if before and not _is_revoked(before, mark):
            roles[role] = Mark(max(before.version, mark.version), mark.keys)
        else:
            roles[role] = mark
    before, after = floor.roles.get(_ASSIGN), seen.get(_ASSIGN)
    forget = before and after and _is_revoked(before, after)
    return Floor(max(floor.root, root), roles, {} if forget else dict(floor.assignments))


def with_assignment(floor: Floor, group: str, version: int) -> Floor:
    """Return the floor after an assignment was accepted.

    Raises:
        TrustFailed: A newer one was accepted before.
    """
    before = floor.assignments.get(group, 0)
    if version < before:
        raise TrustFailed(
            f"assign/{group}: version {version}, but {before} was accepted before: "
            "somebody replays an old assignment",
            role=_ASSIGN,
        )
    newest = {**{name: held for name, held in floor.assignments.items() if name != group}, group: version}
    # A board follows one group at a time; what it followed long ago need not be remembered.
    kept = dict(list(newest.items())[-_MOST_GROUPS:])
    return Floor(floor.root, floor.roles, kept)


def joined(first: Floor, second: Floor) -> Floor:
    """Return the newer of two copies, of which one may have been lost or be a step behind."""
    return max(first, second, key=lambda floor: (floor.root, _progress(floor)))


def encode(floor: Floor) -> bytes:
    """Return a floor as the bytes of its file."""
    roles = {role: {"version": mark.version, "keys": list(mark.keys)} for role, mark in floor.roles.items()}
    # A list: the order says which group was followed last.
    groups = [[group, version] for group, version in floor.assignments.items()]
    return seal({"schema": SCHEMA, "root": floor.root, "roles": roles, "assignments": groups})


def decode(data: bytes) -> Floor:
    """Return the floor that the bytes of a file hold.

    Raises:
        StoreFailed: They are none.
    """
    body = unseal(data, "floor of the trust")
    try:
        if body["schema"] != SCHEMA:
            raise ValueError(f"schema {body['schema']!r} is not {SCHEMA}; a newer gateway wrote it")
        roles = {checked_word(role, "role"): _mark(mark) for role, mark in body["roles"].items()}
        groups = {checked_word(group, "group"): _count(version) for group, version in body["assignments"]}
        return Floor(_count(body["root"]), roles, groups)
    except (KeyError, ValueError, TypeError, AttributeError, ManifestRefused) as error:
        raise StoreFailed(f"floor of the trust: {error}") from error


def _is_revoked(before: Mark, after: Mark) -> bool:
    """Say whether one of the keys that could sign before can no longer."""
    return not set(before.keys) <= set(after.keys)


def _progress(floor: Floor) -> tuple[int, ...]:
    marks = floor.roles
    order = ("targets", "timestamp", "snapshot", "models", "assign")
    return (
        *(marks[role].version if role in marks else 0 for role in order),
        sum(floor.assignments.values()),
    )


def _mark(value: Mapping[str, Any]) -> Mark:
    keys = value["keys"]
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise ValueError("keys are no list of ids")
    return Mark(_count(value["version"]), tuple(keys))


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no version")
    return value
