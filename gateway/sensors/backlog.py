"""Discovery messages that wait their turn, so that five thousand announcements at once never hold up a frame.

The shell offers what arrives and takes small slices between other work. Rules:

1. Bounded in messages and in bytes; what does not fit is refused and counted.
2. A newer message on a topic takes the place of one that waits, unless each
   counts (``latest_only`` of its subscription is false).
3. Otherwise first come, first taken.
"""

from __future__ import annotations

from itertools import islice

from gateway.mqtt.message import Message


class Backlog:
    """Waiting discovery messages.

    Args:
        max_messages: Messages held at most.
        max_bytes: Bytes of payloads and topics held at most.

    Attributes:
        refused: Messages that did not fit.
        superseded: Messages whose place a newer one took.
    """

    def __init__(self, max_messages: int = 20_000, max_bytes: int = 67_108_864) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._waiting: dict[str | int, Message] = {}
        self._numbered = 0
        self._bytes = 0
        self.refused = 0
        self.superseded = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def waiting_bytes(self) -> int:
        """Bytes of what waits."""
        return self._bytes

    def offer(self, message: Message, *, latest_only: bool = True) -> bool:
        """Let a message wait, and return whether there was room for it."""
        if latest_only:
            key: str | int = message.topic
        else:
            key = self._numbered = self._numbered + 1
        older = self._waiting.get(key)
        grown = self._bytes + _size(message) - (_size(older) if older is not None else 0)
        if grown > self._max_bytes or (older is None and len(self._waiting) >= self._max_messages):
            self.refused += 1
            return False
        self.superseded += older is not None
        self._waiting[key] = message
        self._bytes = grown
        return True

    def take(self, count: int) -> list[Message]:
        """Return up to ``count`` messages, the longest waiting first."""
        taken = []
        for key in list(islice(self._waiting, max(0, count))):
            message = self._waiting.pop(key)
            self._bytes -= _size(message)
            taken.append(message)
        return taken


def _size(message: Message) -> int:
    return len(message.payload) + len(message.topic)
