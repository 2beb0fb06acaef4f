"""Reads signed JSON without leniency: bounded, no key twice, no key that is not asked for. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Final, NoReturn

from gateway.errors import ManifestRefused

MOST_DEPTH: Final = 16
_MOST_NUMBER_LETTERS: Final = 40
_MOST_SHOWN: Final = 80
# A string is taken whole, so that brackets in it do not count.
_NESTING: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{}]', re.DOTALL)


class Fields:
    """The keys of one JSON object: each is asked for once, and ``done`` refuses what nobody asked for.

    Args:
        found: The parsed value.
        path: Where it stands, for complaints; empty for the document itself.

    Raises:
        ManifestRefused: It is no object.
    """

    def __init__(self, found: object, path: str) -> None:
        if not isinstance(found, dict):
            raise ManifestRefused(f"{path or 'document'}: needs an object, not {_shown(found)}")
        self._left: dict[str, object] = dict(found)
        self.path = path

    def at(self, key: str) -> str:
        """Return the dotted path of a key."""
        return f"{self.path}.{key[:_MOST_SHOWN]}" if self.path else key[:_MOST_SHOWN]

    def take(self, key: str, default: object = None) -> object:
        """Return what stands under ``key``, whatever it is.

        Raises:
            ManifestRefused: It is missing and there is no default.
        """
        if key not in self._left:
            if default is None:
                raise ManifestRefused(f"{self.at(key)}: missing")
            return default
        return self._left.pop(key)

    def is_null(self, key: str) -> bool:
        """Tell whether ``key`` is missing or null; a null counts as asked for."""
        if self._left.get(key) is not None:
            return False
        self._left.pop(key, None)
        return True

    def integer(self, key: str, low: int, high: int, default: int | None = None) -> int:
        """Return a whole number from ``low`` to ``high``.

        Raises:
            ManifestRefused: It is something else.
        """
        found = self.take(key, default)
        if isinstance(found, bool) or not isinstance(found, int) or not low <= found <= high:
            what = f"needs a whole number from {low} to {high}, not {_shown(found)}"
            raise ManifestRefused(f"{self.at(key)}: {what}")
        return found

    def number(self, key: str, low: float, high: float, default: float | None = None) -> float:
        """Return a finite number from ``low`` to ``high``.

        Raises:
            ManifestRefused: It is something else.
        """
        found = self.take(key, default)
        usable = isinstance(found, int | float) and not isinstance(found, bool)
        if not usable or not isinstance(found, int | float) or not low <= found <= high:
            what = f"needs a number from {low:g} to {high:g}, not {_shown(found)}"
            raise ManifestRefused(f"{self.at(key)}: {what}")
        return float(found)

    def flag(self, key: str, default: bool | None = None) -> bool:
        """Return true or false.

        Raises:
            ManifestRefused: It is something else.
        """
        found = self.take(key, default)
        if not isinstance(found, bool):
            raise ManifestRefused(f"{self.at(key)}: needs true or false, not {_shown(found)}")
        return found

    def words(self, key: str, most: int, default: str | None = None) -> str:
        """Return one line for people: printable, so that no log line can be forged with it.

        Raises:
            ManifestRefused: It is no text, too long, or holds control characters.
        """
        found = self.take(key, default)
        if not isinstance(found, str) or len(found) > most or not found.isprintable():
            what = f"needs one printable line of at most {most} characters, not {_shown(found)}"
            raise ManifestRefused(f"{self.at(key)}: {what}")
        return found

    def listed(self, key: str, most: int, default: list[object] | None = None) -> list[object]:
        """Return a list of at most ``most``.

        Raises:
            ManifestRefused: It is none, or longer.
        """
        found = self.take(key, default)
        if not isinstance(found, list) or len(found) > most:
            shown = f"{len(found)} entries" if isinstance(found, list) else _shown(found)
            raise ManifestRefused(f"{self.at(key)}: needs a list of at most {most}, not {shown}")
        return found

    def mapping(self, key: str, most: int) -> dict[str, object]:
        """Return an object whose keys are names, of at most ``most``.

        Raises:
            ManifestRefused: It is none, or larger.
        """
        found = self.take(key)
        if not isinstance(found, dict) or len(found) > most:
            shown = f"{len(found)} keys" if isinstance(found, dict) else _shown(found)
            raise ManifestRefused(f"{self.at(key)}: needs an object of at most {most} keys, not {shown}")
        return found

    def done(self) -> None:
        """Check that every key was asked for.

        Raises:
            ManifestRefused: A key is unknown.
        """
        for key in self._left:
            raise ManifestRefused(f"{self.path or 'document'}: unknown key {_shown(key)}")


def read_fields(data: bytes, most_bytes: int) -> Fields:
    """Parse a signed JSON document whose outermost value is an object.

    Args:
        data: UTF-8.
        most_bytes: More is refused unread.

    Raises:
        ManifestRefused: It is no such JSON: too long, nested deeper than ``MOST_DEPTH``, a key twice,
            a number that is not finite or absurdly long.
    """
    if len(data) > most_bytes:
        raise ManifestRefused(f"document: {len(data)} bytes, at most {most_bytes} are read")
    try:
        text = data.decode("utf-8")
        _check_depth(text)
        found = json.loads(
            text,
            object_pairs_hook=_once,
            parse_constant=_refuse_number,
            parse_int=_whole,
            parse_float=_broken,
        )
    except ValueError as error:
        raise ManifestRefused(f"document: not JSON: {str(error)[:200]!a}") from error
    return Fields(found, "")


def canonical(document: Mapping[str, object]) -> bytes:
    """Return the one way to write a document: keys sorted, no spaces, a newline at the end."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.encode() + b"\n"


def _check_depth(text: str) -> None:
    depth = 0
    for found in _NESTING.finditer(text):
        letter = found[0]
        if letter in "[{":
            depth += 1
            if depth > MOST_DEPTH:
                raise ManifestRefused(f"document: nested deeper than {MOST_DEPTH}")
        elif letter in "]}":
            depth -= 1


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise ManifestRefused(f"document: key {_shown(key)} stands twice in one object")
        found[key] = value
    return found


def _whole(letters: str) -> int:
    if len(letters) > _MOST_NUMBER_LETTERS:
        _refuse_number(letters)
    return int(letters)


def _broken(letters: str) -> float:
    if len(letters) > _MOST_NUMBER_LETTERS:
        _refuse_number(letters)
    found = float(letters)
    if not math.isfinite(found):
        _refuse_number(letters)
    return found


def _refuse_number(letters: str) -> NoReturn:
    raise ManifestRefused(f"document: {_shown(letters)} is no number that is read")


def _shown(found: object) -> str:
    """Return a value in words that fit a log line."""
    if isinstance(found, dict):
        return "an object"
    if isinstance(found, list):
        return "a list"
    return ascii(found[:_MOST_SHOWN] if isinstance(found, str) else found)[: _MOST_SHOWN + 2]
