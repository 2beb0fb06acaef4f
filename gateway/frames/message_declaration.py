"""Reads what an MQTT 5 message says of itself: its content type and its user properties.

The first half changes the stream's declaration for this one message; the other
half (``FrameFacts``) identifies the frame. Both come from outside: everything is
checked, and what is wrong refuses the frame. Only a broken ``traceparent`` is
passed over, as W3C Trace Context asks.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway.errors import Malformed, TooLarge, UnknownMedia
from gateway.frames.declaration import Declaration
from gateway.operations.trace_context import read_parent

MAX_PROPERTIES = 64
_MAX_TTL_MS = 86_400_000
_MAX_SEQ = 2**64 - 1
_LAST_MS = 253_402_300_799_999  # the end of the year 9999

_MEDIA = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9*][a-z0-9!#$&^_.+*-]{0,127}")
_DTYPE = re.compile(r"[A-Za-z][A-Za-z0-9]{0,15}")
_SHAPE = re.compile(r"\[?\s*-?[0-9]{1,10}(?:\s*,\s*-?[0-9]{1,10}){0,7}\s*,?\s*\]?")
_LAYOUT = re.compile(r"[NHWCTD]{1,5}")
_NAME = re.compile(r"[\x21-\x7e]{1,128}")
_INTEGER = re.compile(r"-?[0-9]{1,20}")
_DECIMAL = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{0,18})?(?:[eE][+-]?[0-9]{1,2})?")
_RFC_3339 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)

# Set by client libraries without a thought: they say nothing that the stream does not say better.
_UNSPECIFIC = frozenset({"application/octet-stream", "text/plain"})
_ENCODINGS = {"application/gzip": "gzip", "application/x-gzip": "gzip"}


@dataclass(frozen=True, slots=True)
class FrameFacts:
    """What identifies a frame, as its sender wrote it.

    Attributes:
        id: The sender's name for the frame; empty if none.
        seq: The sender's running number; None if none.
        time_ms: When it was captured, milliseconds of Unix time by the sender's
            clock; None if unknown.
        ttl_ms: How long it is worth anything, from its receipt; None if not said.
        source: Who made it; empty if not said.
        traceparent: W3C trace context; empty if none or broken.
    """

    id: str = ""
    seq: int | None = None
    time_ms: float | None = None
    ttl_ms: int | None = None
    source: str = ""
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class MessageDeclaration:
    """All that a message says of itself.

    Attributes:
        declared: The stream's declaration with this message's changes.
        facts: What identifies the frame.
    """

    declared: Declaration
    facts: FrameFacts


def read_message(
    stream: Declaration, content_type: str | None, properties: Sequence[tuple[str, str]]
) -> MessageDeclaration:
    """Lay what a message says over what its stream says.

    Args:
        stream: The stream's declaration.
        content_type: MQTT 5 content type with its parameters; None if absent.
        properties: MQTT 5 user properties in their order; of a repeated key the
            last counts, keys that are not known are passed over.

    Raises:
        Malformed: A known property or the content type cannot be read.
        UnknownMedia: An encoding that is not supported.
        TooLarge: More properties than allowed.
    """
    if not content_type and not properties:
        return MessageDeclaration(stream, _NO_FACTS)
    if len(properties) > MAX_PROPERTIES:
        raise TooLarge(f"{len(properties)} user properties are more than {MAX_PROPERTIES}")
    changes = _read_content_type(stream, content_type) if content_type else {}
    facts: dict[str, object] = {}
    for key, text in properties:
        if key in _DECLARING:
            field, read = _DECLARING[key]
            changes[field] = read(key, text)
        elif key in _IDENTIFYING:
            field, read = _IDENTIFYING[key]
            facts[field] = read(key, text)
    identity = FrameFacts(**facts) if facts else _NO_FACTS  # type: ignore[arg-type]
    return MessageDeclaration(stream.overridden(changes), identity)


_NO_FACTS = FrameFacts()


def _read_content_type(stream: Declaration, content_type: str) -> dict[str, object]:
    media, *parameters = (part.strip() for part in content_type[:512].split(";"))
    media = media.lower()
    if not _MEDIA.fullmatch(media):
        raise Malformed(f"content type {content_type[:80]!r} is no media type")
    if media in _ENCODINGS:
        return {"encoding": _ENCODINGS[media]}
    if media in _UNSPECIFIC and (stream.media or stream.dtype or stream.encoding or media != "text/plain"):
        return {}
    changes: dict[str, object] = {"media": media}
    if media.startswith("audio/"):
        for parameter in parameters:
            key, _, text = parameter.partition("=")
            if key.strip().lower() in ("rate", "channels"):
                field, read = _DECLARING[key.strip().lower()]
                changes[field] = read(key, text.strip())
    return changes


def _refused(key: str, text: str, expected: str) -> Malformed:
    return Malformed(f"user property {key} is {text[:60]!r}, not {expected}")


def _text(pattern: re.Pattern[str], expected: str) -> Callable[[str, str], object]:
    def read(key: str, text: str) -> str:
        if not pattern.fullmatch(text):
            raise _refused(key, text, expected)
        return text

    return read


def _whole(least: int, most: int) -> Callable[[str, str], object]:
    def read(key: str, text: str) -> int:
        if not _INTEGER.fullmatch(text.strip()) or not least <= int(text) <= most:
            raise _refused(key, text, f"a whole number from {least} to {most}")
        return int(text)

    return read


def _positive(most: float) -> Callable[[str, str], object]:
    def read(key: str, text: str) -> float:
        if not _DECIMAL.fullmatch(text.strip()) or not 0 < float(text) <= most:
            raise _refused(key, text, f"a number above 0 and up to {most:g}")
        return float(text)

    return read


def _shape(key: str, text: str) -> tuple[int, ...]:
    if not _SHAPE.fullmatch(text.strip()):
        raise _refused(key, text, "up to 8 sizes apart by commas")
    sizes = tuple(int(part) for part in text.strip(" []").split(",") if part.strip())
    if sizes.count(-1) > 1 or any(size < 1 for size in sizes if size != -1):
        raise _refused(key, text, "sizes above 0, one of them perhaps -1")
    return sizes


def _encoding(key: str, text: str) -> str:
    encoding = text.strip().lower()
    if encoding in ("", "identity", "none"):
        return ""
    if encoding not in ("gzip", "base64", "data-uri"):
        raise UnknownMedia(f"user property {key} is {text[:60]!r}; gzip, base64 and data-uri are supported")
    return encoding


def _time_ms(key: str, text: str) -> float:
    """Read Unix milliseconds or RFC 3339."""
    if _DECIMAL.fullmatch(text):
        time_ms = float(text)
    else:
        match = _RFC_3339.fullmatch(text)
        if match is None:
            raise _refused(key, text, "milliseconds of Unix time or an RFC 3339 time")
        try:
            time_ms = _of_calendar(match)
        except ValueError as error:
            raise _refused(key, text, "a date that exists") from error
    if not (math.isfinite(time_ms) and 0 <= time_ms <= _LAST_MS):
        raise _refused(key, text, "between the years 1970 and 9999")
    return time_ms


def _of_calendar(match: re.Match[str]) -> float:
    year, month, day, hour, minute, second = (int(match[index]) for index in range(1, 7))
    moment = dt.datetime(year, month, day, hour, minute, min(second, 59), tzinfo=dt.timezone.utc)
    offset_s = (
        (int(match[9]) * 3600 + int(match[10]) * 60) * (-1 if match[8] == "-" else 1) if match[8] else 0
    )
    fraction = float(f"0.{match[7]}") if match[7] else 0.0
    return (moment.timestamp() + max(0, second - 59) - offset_s + fraction) * 1000


def _traceparent(_key: str, text: str) -> str:
    found = read_parent(text)
    return "" if found is None else str(found)


_Read = Callable[[str, str], object]
_ID = _text(_NAME, "1 to 128 printable characters without blanks")

# The keys of the product and, for identity, those of CloudEvents in binary mode.
_DECLARING: Mapping[str, tuple[str, _Read]] = {
    "dtype": ("dtype", _text(_DTYPE, "the name of an element type")),
    "shape": ("shape", _shape),
    "layout": ("layout", _text(_LAYOUT, "axes such as NHWC")),
    "scale": ("scale", _positive(1e18)),
    "zero": ("zero_point", _whole(-(2**31), 2**32 - 1)),
    "encoding": ("encoding", _encoding),
    "name": ("name", _text(_NAME, "1 to 128 printable characters without blanks")),
    "rate": ("rate_hz", _positive(10_000_000)),
    "channels": ("channels", _whole(1, 64)),
}
_IDENTIFYING: Mapping[str, tuple[str, _Read]] = {
    "id": ("id", _ID),
    "seq": ("seq", _whole(0, _MAX_SEQ)),
    "ts": ("time_ms", _time_ms),
    "time": ("time_ms", _time_ms),
    "ttl_ms": ("ttl_ms", _whole(1, _MAX_TTL_MS)),
    "src": ("source", _ID),
    "source": ("source", _ID),
    "traceparent": ("traceparent", _traceparent),
}
