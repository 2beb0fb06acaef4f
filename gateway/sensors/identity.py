"""Names of sensors made from what devices call themselves, and marks that tell one device from another."""

from __future__ import annotations

import hashlib
import re

from gateway.configuration.settings import ID

_VALID = re.compile(ID)
_OTHER = re.compile(r"[^a-z0-9]+")
_MAC = re.compile(r"[0-9a-f]{2}([:-]?[0-9a-f]{2}){5}")
_NO_SERIALS = frozenset({"", "0", "none", "null", "unknown", "n/a", "default", "serial"})
_LONGEST = 63
_MARK_HEX = 6


def is_sensor_id(text: str) -> bool:
    """Return whether ``text`` may be a sensor's id."""
    return _VALID.fullmatch(text) is not None


def sensor_id(text: str) -> str:
    """Return a sensor id for any text: the same one each time, and for nothing else by accident.

    Case and ``_`` are folded, as most devices mean nothing by them. Whatever
    loses more than that carries a short mark of the original.
    """
    folded = text.lower().replace("_", "-")
    if _VALID.fullmatch(folded):
        return folded
    mark = hashlib.blake2s(text.encode(errors="surrogatepass")).hexdigest()[:_MARK_HEX]
    slug = _OTHER.sub("-", folded).strip("-")[: _LONGEST - _MARK_HEX - 1].rstrip("-")
    return f"{slug}-{mark}" if slug else f"s-{mark}"


def mac_mark(text: str) -> str:
    """Return ``mac:aabbccddeeff`` if ``text`` is a hardware address, else nothing."""
    folded = text.strip().lower()
    if not _MAC.fullmatch(folded):
        return ""
    digits = folded.replace(":", "").replace("-", "")
    return "" if digits in ("000000000000", "ffffffffffff") else f"mac:{digits}"


def serial_mark(text: str) -> str:
    """Return ``serial:...`` unless ``text`` is one of the words that mean none."""
    folded = text.strip().lower()
    return "" if folded in _NO_SERIALS else f"serial:{folded}"


def identifier_mark(text: str) -> str:
    """Return the mark of a free identifier: a hardware address if it looks like one."""
    folded = text.strip().lower()
    if not folded:
        return ""
    return mac_mark(folded) or f"id:{folded}"
