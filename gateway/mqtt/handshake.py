"""What the two sides say when a connection begins and ends, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

# Reason codes of MQTT 5; paho translates those of 3.1.1 to them.
ACCESS_CODES = frozenset({0x86, 0x87, 0x8A, 0x8C})  # password, authorisation, ban, authentication method
VERSION_CODE = 0x84
TAKEN_OVER_CODE = 0x8E


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says for us when we vanish."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = True


@dataclass(frozen=True, slots=True)
class Hello:
    """All that a CONNECT says."""

    client_id: str
    version: int
    clean: bool
    keepalive_s: int
    session_expiry_s: int
    max_packet_bytes: int
    receive_maximum: int
    username: str = ""
    password: str = field(default="", repr=False)
    will: Will | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The broker's yes, and its limits."""

    session_present: bool
    receive_maximum: int
    max_packet_bytes: int
    maximum_qos: int
    retain_available: bool
    identifiers_available: bool
    topic_alias_maximum: int = 0


class RefusalKind(Enum):
    """What a refused or unanswered CONNECT asks for."""

    VERSION = "another protocol version"
    ACCESS = "other credentials or rights"
    OTHER = "another try later"


@dataclass(frozen=True, slots=True)
class Refused:
    """The broker's no, or its silence."""

    kind: RefusalKind
    reason: str


@dataclass(frozen=True, slots=True)
class Closed:
    """Why a network connection ended.

    Attributes:
        reason: Words for a log line.
        taken_over: Another client connected with the same id.
    """

    reason: str
    taken_over: bool = False
