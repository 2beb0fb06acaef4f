"""One message as it came from the broker, and the MQTT 5 properties that one may be published with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

NO_PROPERTIES: Mapping[str, str] = MappingProxyType({})


def _none() -> Mapping[str, str]:
    return NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Message:
    """A PUBLISH that was received; on MQTT 3.1.1 everything below ``mid`` keeps its default.

    Attributes:
        topic: Where it was published; valid and never empty.
        payload: Its bytes, owned by this object.
        qos: 0 or 1, as delivered to this client.
        retain: Whether the broker replayed it from its store: old news, whatever it says.
        received_s: Monotonic time at which its last bytes were read.
        mid: Packet identifier within its connection; 0 for QoS 0.
        content_type: Media type given by the publisher; empty for none.
        properties: User properties; of a repeated name the last one.
        correlation: Correlation data; empty for none.
        response_topic: Where an answer is wanted; empty for none.
        expiry_s: Seconds of life left when the broker sent it; None for no end.
        identifiers: Identifiers of the subscriptions for which the broker sent it.
        duplicate: Whether the broker says that it has sent it before, unacknowledged.
    """

    topic: str
    payload: bytes
    qos: int
    retain: bool
    received_s: float
    mid: int = 0
    content_type: str = ""
    properties: Mapping[str, str] = field(default_factory=_none)
    correlation: bytes = b""
    response_topic: str = ""
    expiry_s: int | None = None
    identifiers: tuple[int, ...] = ()
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class PublishProperties:
    """What MQTT 5 can say about a message beside its payload; dropped on MQTT 3.1.1.

    Attributes:
        content_type: Media type; empty for none.
        properties: User properties, at most 65,535 bytes of UTF-8 each name and value.
        correlation: Correlation data; empty for none.
        response_topic: Where an answer is wanted; empty for none.
        expiry_s: Seconds until the message is worthless; None for never.
    """

    content_type: str = ""
    properties: Mapping[str, str] = field(default_factory=_none)
    correlation: bytes = b""
    response_topic: str = ""
    expiry_s: int | None = None
