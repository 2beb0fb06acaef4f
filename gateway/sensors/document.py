"""Outside bytes to plain values, and plain values to checked ones, for announcements and state messages."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import NoReturn

from gateway.errors import GatewayError, MalformedAnnouncement

MAX_TEXT = 256
_MAX_INTEGER = 2**63 - 1


def parse_json(payload: bytes) -> object:
    """Return what JSON bytes hold: strict UTF-8, finite numbers, bounded depth.

    Raises:
        ValueError: They are not such JSON.
    """
    try:
        return json.loads(payload.decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read_object(payload: bytes) -> dict[str, object]:
    """Return the JSON object in an announcement.

    Raises:
        MalformedAnnouncement: The bytes are no JSON object.
    """
    try:
        found = parse_json(payload)
    except ValueError as error:
        raise MalformedAnnouncement(f"not JSON: {str(error)[:120]}") from None
    return as_object(found, "announcement")


def as_object(value: object, what: str) -> dict[str, object]:
    """Return ``value`` as an object with string keys.

    Raises:
        MalformedAnnouncement: It is something else.
    """
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise MalformedAnnouncement(f"{what}: an object with named keys is expected")
    return value


def text(holder: Mapping[str, object], key: str, default: str = "") -> str:
    """Return the string under ``key``, exactly as sent.

    Raises:
        MalformedAnnouncement: It is no string, too long, or no valid Unicode.
    """
    value = holder.get(key, default)
    if not isinstance(value, str):
        raise MalformedAnnouncement(f"{key}: a string is expected")
    if len(value) > MAX_TEXT * 4:
        raise MalformedAnnouncement(f"{key}: longer than {MAX_TEXT * 4} characters")
    if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise MalformedAnnouncement(f"{key}: half of a surrogate pair is no text")
    return value


def words(holder: Mapping[str, object], key: str, default: str = "") -> str:
    """Return the string under ``key`` for people and labels: one line, bounded, printable.

    Raises:
        MalformedAnnouncement: It is no string or far too long.
    """
    return printable(text(holder, key, default))


def printable(value: str) -> str:
    """Return ``value`` without control characters, cut to what labels hold."""
    if not value.isprintable():
        value = "".join(letter for letter in value if letter.isprintable())
    return value[:MAX_TEXT].strip()


def integer(
    holder: Mapping[str, object], key: str, default: int = 0, low: int = 0, high: int = _MAX_INTEGER
) -> int:
    """Return the whole number under ``key``.

    Raises:
        MalformedAnnouncement: It is no whole number or out of range.
    """
    value = holder.get(key, default)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise MalformedAnnouncement(f"{key}: a whole number from {low} to {high} is expected")
    return value


def number(holder: Mapping[str, object], key: str, default: float = 0.0, high: float = 1e9) -> float:
    """Return the number under ``key``, 0 or above.

    Raises:
        MalformedAnnouncement: It is no number, not finite, or out of range.
    """
    value = holder.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MalformedAnnouncement(f"{key}: a number is expected")
    if not 0 <= value <= high or not math.isfinite(value):
        raise MalformedAnnouncement(f"{key}: a number from 0 to {high:g} is expected")
    return float(value)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def read_cbor_object(payload: bytes, read: Callable[[bytes], object]) -> dict[str, object]:
    """Return the CBOR map in an announcement.

    Args:
        payload: Bytes as they came.
        read: Reader of CBOR; raises ``GatewayError`` for anything else.

    Raises:
        MalformedAnnouncement: The bytes are no CBOR map with named keys.
    """
    try:
        found = read(payload)
    except GatewayError as error:
        raise MalformedAnnouncement(f"not CBOR: {error.message[:120]}") from None
    return as_object(found, "announcement")
