"""Turns one event into the fields of a journal entry, and the fields into what journald reads.

Pure. The form is journald's native one: ``KEY=value`` and a line break, or for a value with line breaks
``KEY``, a line break, its length as eight bytes (little-endian), the value, and a line break.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.operations.render import Plain, Record, as_json, as_message, plain_fields, severity

IDENTIFIER: Final = "gateway"

_PREFIX: Final = "GATEWAY_"
_LONGEST_NAME: Final = 64
_LENGTH: Final = struct.Struct("<Q")
_NOT_IN_NAMES: Final = re.compile(r"[^A-Z0-9_]")
# Of these there is one each; what an event carries under such a name is in GATEWAY_JSON.
_OWN: Final = frozenset({"GATEWAY_EVENT", "GATEWAY_JSON"})


@dataclass(frozen=True, slots=True)
class Entry:
    """The fields of one entry; a name may stand there several times, as in the journal.

    Attributes:
        fields: Names and values.
        priority: Severity as syslog counts it.
        json: The event as one JSON object, which is one of the fields as well.
    """

    fields: tuple[tuple[str, str], ...]
    priority: int
    json: str

    def datagram(self) -> bytes:
        """Return the fields as journald reads them."""
        return b"".join(_field(name.encode(), _bytes(value)) for name, value in self.fields)

    def line(self) -> bytes:
        """Return the event for standard error, with journald's mark of severity."""
        return f"<{self.priority}>{self.json}\n".encode("ascii")


def journal_entry(record: Record) -> Entry:
    """Return the entry that says everything the record holds."""
    priority, line = severity(record.level), as_json(record)
    fields = [
        ("MESSAGE", as_message(record)),
        ("PRIORITY", str(priority)),
        ("SYSLOG_IDENTIFIER", IDENTIFIER),
        ("GATEWAY_EVENT", record.event),
    ]
    for key, value in plain_fields(record).items():
        fields += _said("TRACE_ID" if key == "trace_id" else field_name(key), value)
    return Entry((*fields, ("GATEWAY_JSON", line)), priority, line)


def field_name(key: str) -> str:
    """Return the name under which the journal keeps a field of an event."""
    return f"{_PREFIX}{_NOT_IN_NAMES.sub('_', key.upper())}"[:_LONGEST_NAME]


def _said(name: str, value: Plain) -> Iterator[tuple[str, str]]:
    """Yield the fields of a value: one of a scalar, one for each in a list, two of an error."""
    if name in _OWN or value is None:
        return
    if isinstance(value, dict):
        if value.keys() >= {"label", "message"}:
            yield name, str(value["message"])
            yield f"{name}_LABEL"[:_LONGEST_NAME], str(value["label"])
        return
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, bool):
            yield name, "true" if each else "false"
        elif isinstance(each, (int, float, str)):
            yield name, str(each)


def _field(name: bytes, value: bytes) -> bytes:
    if b"\n" in value:
        return b"%b\n%b%b\n" % (name, _LENGTH.pack(len(value)), value)
    return b"%b=%b\n" % (name, value)


def _bytes(value: str) -> bytes:
    return value.encode("utf-8", "backslashreplace")
