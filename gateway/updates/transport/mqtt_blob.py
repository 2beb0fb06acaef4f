"""What is said over MQTT about blobs: the topics, and a request for some bytes of one. Pure.

A board asks on ``<prefix>/blob/<sha256>/get`` with MQTT 5's Response Topic and
Correlation Data; whoever has the blob answers there with the raw bytes and the
same Correlation Data. Nobody answers for a blob that it has not got. Answers go
below ``<prefix>/blob/to/`` alone: a responder publishes with its own rights, and
must not be made to publish anywhere else.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

from gateway.errors import ManifestRefused
from gateway.mqtt.message import Message
from gateway.updates.names import checked_digest

PIECE_BYTES: Final = 128 << 10
MOST_PIECE_BYTES: Final = 256 << 10
_MOST_REQUEST_BYTES: Final = 256
_MOST_CORRELATION_BYTES: Final = 64
_MOST_OFFSET: Final = 1 << 53
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class PieceRequest:
    """Who wants which bytes.

    Attributes:
        sha256: The blob.
        offset: First byte.
        length: How many; at most ``MOST_PIECE_BYTES``.
        answer_topic: Where the answer goes.
        correlation: What goes back with it, as it came.
    """

    sha256: str
    offset: int
    length: int
    answer_topic: str
    correlation: bytes


def request_topic(prefix: str, sha256: str) -> str:
    """Return where a blob is asked for; with ``+`` for the blob, the filter of those who answer."""
    return f"{prefix}/blob/{sha256}/get"


def answer_topic(prefix: str, token: str) -> str:
    """Return where the answers for one client go."""
    return f"{prefix}/blob/to/{token}"


def request_payload(offset: int, length: int) -> bytes:
    """Return the payload of a request."""
    return json.dumps({"offset": offset, "length": length}, separators=(",", ":")).encode()


def read_request(prefix: str, message: Message) -> PieceRequest | None:
    """Return what a message asks for; None if it is no request that may be answered."""
    head, tail, answers = f"{prefix}/blob/", "/get", answer_topic(prefix, "")
    token = message.response_topic[len(answers) :]
    if not message.response_topic.startswith(answers) or not _TOKEN.fullmatch(token):
        return None
    if len(message.correlation) > _MOST_CORRELATION_BYTES:
        return None
    if not message.topic.startswith(head) or not message.topic.endswith(tail):
        return None
    try:
        sha256 = checked_digest(message.topic[len(head) : -len(tail)], "blob")
    except ManifestRefused:
        return None
    span = _read_span(message.payload)
    if span is None:
        return None
    return PieceRequest(sha256, *span, message.response_topic, message.correlation)


def _read_span(payload: bytes) -> tuple[int, int] | None:
    if len(payload) > _MOST_REQUEST_BYTES:
        return None
    try:
        asked = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    if not isinstance(asked, dict) or set(asked) != {"offset", "length"}:
        return None
    offset, length = asked["offset"], asked["length"]
    if type(offset) is not int or type(length) is not int:
        return None
    return (offset, length) if 0 <= offset < _MOST_OFFSET and 0 < length <= MOST_PIECE_BYTES else None
