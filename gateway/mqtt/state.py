"""What a connection is told at its making, and what it tells: states, events, counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from gateway.mqtt.handshake import Will


class ConnectionState(Enum):
    """Where the connection stands."""

    CONNECTING = "connecting"
    ONLINE = "online"
    OFFLINE = "offline"
    REFUSED = "refused"
    CLOSED = "closed"


def _ignore(*_: object) -> None:
    """Stand in for a callback that nobody gave."""


@dataclass(frozen=True, slots=True)
class ConnectionEvents:
    """What a connection tells its owner; all are called by the event loop and must return at once.

    Attributes:
        on_state: The new state and its reason, in words for a log line.
        on_drop: The reason label and the topic of a message that was not taken or not sent.
        on_refused: A filter that the broker refused, and its reason code.
    """

    on_state: Callable[[ConnectionState, str], None] = _ignore
    on_drop: Callable[[str, str], None] = _ignore
    on_refused: Callable[[str, int], None] = _ignore


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """What tells one connection of the gateway from the other.

    Attributes:
        client_id: Name at the broker; two connections with one name throw each other out.
        clean: Whether the broker forgets subscriptions and queued messages at each disconnect.
        will: What the broker publishes when this side vanishes.
    """

    client_id: str
    clean: bool
    will: Will | None = None


@dataclass(frozen=True, slots=True)
class ConnectionStats:
    """Counts since the start."""

    connects: int
    messages_in: int
    messages_out: int
    bytes_in: int
    bytes_out: int
    waiting: int
