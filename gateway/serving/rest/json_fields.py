"""Takes typed members out of JSON objects: a wrong kind is refused with the member's path. Pure.

A member that is null counts as missing: many clients write all the members that they know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.errors import Malformed

Members = Mapping[str, object]
MOST_NAME: Final = 1024


def member_text(members: Members, key: str, path: str, most: int = MOST_NAME) -> str | None:
    """Return a string, None where it is missing.

    Raises:
        Malformed: It is none, or longer than ``most``.
    """
    found = members.get(key)
    if found is None:
        return None
    if not isinstance(found, str):
        raise Malformed(f"{_at(path, key)} needs text")
    if len(found) > most:
        raise Malformed(f"{_at(path, key)} has {len(found)} characters, at most {most} are taken")
    return found


def needed_text(members: Members, key: str, path: str) -> str:
    """Return a string that must be there and not be empty.

    Raises:
        Malformed: It is missing, empty, too long, or something else.
    """
    found = member_text(members, key, path)
    if not found:
        raise Malformed(f"{_at(path, key)} is missing" if found is None else f"{_at(path, key)} is empty")
    return found


def member_flag(members: Members, key: str, path: str) -> bool | None:
    """Return true or false, None where it is missing.

    Raises:
        Malformed: It is something else.
    """
    found = members.get(key)
    if found is None:
        return None
    if not isinstance(found, bool):
        raise Malformed(f"{_at(path, key)} needs true or false")
    return found


def member_whole(members: Members, key: str, path: str, most: int = 2**63 - 1) -> int | None:
    """Return a whole number from 0 to ``most``, None where it is missing.

    Raises:
        Malformed: It is something else.
    """
    said = members.get(key)
    if said is None:
        return None
    found = whole(said)
    if found is None:
        raise Malformed(f"{_at(path, key)} needs a whole number")
    if not 0 <= found <= most:
        raise Malformed(f"{_at(path, key)} is {found}, it needs to be from 0 to {most}")
    return found


def whole(value: object) -> int | None:
    """Return a value that is a whole number, None for any other; JSON makes no difference of 2 and 2.0."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def member_object(members: Members, key: str, path: str) -> dict[str, object]:
    """Return an object; an empty one where it is missing.

    Raises:
        Malformed: It is something else.
    """
    found = members.get(key)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise Malformed(f"{_at(path, key)} needs an object")
    return found


def member_list(members: Members, key: str, path: str, most: int) -> list[object]:
    """Return an array; an empty one where it is missing.

    Raises:
        Malformed: It is something else, or has more than ``most`` elements.
    """
    found = members.get(key)
    if found is None:
        return []
    if not isinstance(found, list):
        raise Malformed(f"{_at(path, key)} needs an array")
    if len(found) > most:
        raise Malformed(f"{_at(path, key)} has {len(found)} elements, at most {most} are taken")
    return found


def _at(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
