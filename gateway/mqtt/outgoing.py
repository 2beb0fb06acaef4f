"""Messages that wait for the broker: bounded in number and bytes, the oldest goes first."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from gateway.mqtt.message import PublishProperties

# What a waiting message costs beside its topic and payload: the objects around them.
OVERHEAD_BYTES = 400


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message on its way out.

    Attributes:
        topic: Where to.
        payload: Its bytes.
        qos: 0 or 1.
        retain: Whether the broker shall keep it.
        properties: What MQTT 5 says beside the payload.
        expires_s: Monotonic time after which it is not worth sending; None for never.
        ticket: Number by which a waiting publisher knows its message; 0 for none.
    """

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: PublishProperties | None = None
    expires_s: float | None = None
    ticket: int = 0

    @property
    def size_bytes(self) -> int:
        """Memory that it holds, near enough for a bound."""
        size = OVERHEAD_BYTES + len(self.topic) + len(self.payload)
        if (extra := self.properties) is not None:
            size += len(extra.content_type) + len(extra.correlation) + len(extra.response_topic)
            size += sum(len(name) + len(value) for name, value in extra.properties.items())
        return size


@dataclass(frozen=True, slots=True)
class Discarded:
    """A message that will not be sent, and why: ``queue_full``, ``too_large`` or ``expired``."""

    item: Outgoing
    reason: str


class Outbox(Protocol):
    """Where messages wait; a durable one may stand in for the queue below."""

    def __len__(self) -> int: ...

    def push(self, item: Outgoing) -> tuple[Discarded, ...]:
        """Put a message last; return what had to go for it, possibly itself."""
        ...

    def take(self, now_s: float) -> tuple[Outgoing | None, tuple[Discarded, ...]]:
        """Remove and return the first message still worth sending, and those that were not."""
        ...

    def restore(self, items: Iterable[Outgoing]) -> tuple[Discarded, ...]:
        """Put messages that were taken but not delivered back to the front, in their order."""
        ...


class OutgoingQueue:
    """An outbox in memory.

    1. Messages leave in the order in which they came.
    2. It never holds more than ``max_messages`` or ``max_bytes``: the oldest go,
       as the newest result says more about the world.
    3. A message that could never fit is refused and nothing goes for it.
    """

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._items: deque[Outgoing] = deque()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._items)

    def push(self, item: Outgoing) -> tuple[Discarded, ...]:
        """Put a message last; return what had to go for it, possibly itself."""
        if item.size_bytes > self._max_bytes:
            return (Discarded(item, "too_large"),)
        self._items.append(item)
        self.size_bytes += item.size_bytes
        return self._trim()

    def take(self, now_s: float) -> tuple[Outgoing | None, tuple[Discarded, ...]]:
        """Remove and return the first message still worth sending, and those that were not."""
        expired: list[Discarded] = []
        while self._items:
            item = self._items.popleft()
            self.size_bytes -= item.size_bytes
            if item.expires_s is None or now_s < item.expires_s:
                return item, tuple(expired)
            expired.append(Discarded(item, "expired"))
        return None, tuple(expired)

    def restore(self, items: Iterable[Outgoing]) -> tuple[Discarded, ...]:
        """Put messages that were taken but not delivered back to the front, in their order."""
        for item in reversed(tuple(items)):
            self._items.appendleft(item)
            self.size_bytes += item.size_bytes
        return self._trim()

    def _trim(self) -> tuple[Discarded, ...]:
        if len(self._items) <= self._max_messages and self.size_bytes <= self._max_bytes:
            return ()
        gone: list[Discarded] = []
        while len(self._items) > self._max_messages or self.size_bytes > self._max_bytes:
            item = self._items.popleft()
            self.size_bytes -= item.size_bytes
            gone.append(Discarded(item, "queue_full"))
        return tuple(gone)
