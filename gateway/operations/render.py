"""Turns one event into one line of text: a JSON object, or words for a terminal.

Pure. Any value becomes something printable of bounded length: sensors choose
their own names, so control characters must neither break a line nor reach a
terminal, and a value whose ``str`` raises must not cost the line.
"""

from __future__ import annotations

import json
import math
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Final

from gateway.configuration.secret import Secret
from gateway.errors import GatewayError
from gateway.operations.events import Level

MAX_TEXT: Final = 2000
MAX_TRACE: Final = 6000
MAX_ITEMS: Final = 50
MAX_DEPTH: Final = 4

# Beyond this, other readers of JSON lose digits.
_SAFE_INTEGER: Final = 2**53

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]

_SYSLOG: Final = {Level.DEBUG: 7, Level.INFO: 6, Level.WARNING: 4, Level.ERROR: 3}


@dataclass(frozen=True, slots=True)
class Record:
    """One event on its way to a line.

    Attributes:
        unix_s: When, in seconds since 1970.
        level: Severity.
        event: Name of the event.
        fields: Whatever it carries.
        suppressed: Events of the same kind and subject held back before it.
    """

    unix_s: float
    level: Level
    event: str
    fields: Mapping[str, object]
    suppressed: int = 0


def as_json(record: Record) -> str:
    """Return the record as one JSON object without a line break, ASCII only."""
    line: dict[str, Plain] = {
        "time": _timestamp(record.unix_s),
        "level": record.level.name.lower(),
        "event": record.event,
    }
    line.update(plain_fields(record))
    return json.dumps(line, separators=(",", ":"), allow_nan=False)


def as_words(record: Record) -> str:
    """Return the record as one line for people, free of control characters."""
    clock = _timestamp(record.unix_s)[11:23]
    return f"{clock} {record.level.name:<7} {as_message(record)}"


def as_message(record: Record) -> str:
    """Return what ``as_words`` says besides time and severity, for readers that show these themselves."""
    words = [record.event]
    words += (f"{_word(key)}={_word(_short(value))}" for key, value in plain_fields(record).items())
    return " ".join(words)


def severity(level: Level) -> int:
    """Return a severity as syslog and the journal count it."""
    return _SYSLOG[level]


def syslog_prefix(level: Level) -> str:
    """Return the mark by which journald learns the severity of a line."""
    return f"<{_SYSLOG[level]}>"


def plain_fields(record: Record) -> dict[str, Plain]:
    """Return the record's fields as something JSON can say; what is None is left out."""
    fields: dict[str, Plain] = {}
    for key, value in record.fields.items():
        if isinstance(value, BaseException):
            fields[key] = _error(value)
        elif value is not None:
            fields[key] = plain(value)
    if record.suppressed:
        fields["suppressed"] = record.suppressed
    return fields


def plain(value: object, depth: int = 0) -> Plain:
    """Return ``value`` as something JSON can say, cut to size; secrets stay hidden."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if abs(value) <= _SAFE_INTEGER else _cut(hex(value))
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else _text(value)
    if isinstance(value, str):
        return _cut(value)
    if isinstance(value, Secret):
        return str(value)
    if depth < MAX_DEPTH:
        if isinstance(value, dict):
            items = list(value.items())[:MAX_ITEMS]
            return {_text(key): plain(item, depth + 1) for key, item in items}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [plain(item, depth + 1) for item in list(value)[:MAX_ITEMS]]
    return _text(value)


def _error(error: BaseException) -> dict[str, Plain]:
    """Say label and facts of a typed error; of any other, where it was raised as well."""
    if isinstance(error, GatewayError):
        facts = plain(dict(error.attributes))
        said: dict[str, Plain] = {"label": error.label, "message": _cut(error.message)}
        if facts:
            said["attributes"] = facts
        return said
    if isinstance(error, OSError):
        return {"label": type(error).__name__, "message": _text(error)}
    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return {"label": type(error).__name__, "message": _text(error), "trace": trace[-MAX_TRACE:]}


def _text(value: object) -> str:
    try:
        return _cut(str(value))
    except Exception:  # noqa: BLE001 - a foreign __str__ may raise anything; the line must still be written
        return f"<unprintable {type(value).__name__}>"


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 3]}..."


def _short(value: Plain) -> Plain:
    """Shorten an error that needs no trace to one phrase."""
    if isinstance(value, dict) and value.keys() >= {"label", "message"} and "trace" not in value:
        return f"{value['label']}: {value['message']}"
    return value


def _word(value: Plain) -> str:
    if isinstance(value, str) and value.isprintable() and value and not set(value) & set(" \"='"):
        return value
    return json.dumps(value, allow_nan=False)


def _timestamp(unix_s: float) -> str:
    moment = datetime.fromtimestamp(unix_s, tz=timezone.utc)
    return f"{moment.isoformat(timespec='milliseconds')[:-6]}Z"
