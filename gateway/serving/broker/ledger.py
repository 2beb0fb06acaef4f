"""Which requests over the broker are under way, and which were answered lately: each is answered once. Pure.

1. At most so many are under way; the next one is refused, not kept.
2. A request that comes again while it is under way (the same topics, correlation data and bytes)
   joins it: there is one answer, and every copy is acknowledged with it. Without correlation data
   nobody can tell copies from two requests for the same; only the broker's own mark can.
3. When the connection breaks between an answer and the broker's sight of the acknowledgement, the
   broker sends the request again under its old packet identifier, marked: it is acknowledged, not
   answered again.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum

from gateway.mqtt.message import Message
from gateway.serving.broker.envelope import ReturnAddress

REMEMBERED = 1024
# Enough to tell requests apart that agree in all else; a sum over a whole picture would cost more.
_ENDS_BYTES = 4096

_Key = tuple[str, ReturnAddress, int, int]


class Standing(Enum):
    """What a message is to the ledger."""

    NEW = "new"
    JOINED = "joined"
    ANSWERED = "answered"
    FULL = "full"


@dataclass(slots=True, eq=False)
class Entry:
    """One request under way.

    Attributes:
        message: As it came first.
        back: Where its answer goes.
        copies: Every message that is acknowledged with its answer, the first among them.
    """

    message: Message
    back: ReturnAddress
    copies: list[Message] = field(default_factory=list)


class Ledger:
    """Requests of one session.

    Args:
        most: How many may be under way.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._pending: dict[_Key, list[Entry]] = {}
        self._count = 0
        self._answered: OrderedDict[tuple[int, _Key], None] = OrderedDict()

    def __len__(self) -> int:
        return self._count

    def enter(self, message: Message, back: ReturnAddress) -> tuple[Standing, Entry]:
        """Note a message; return what it is, and the request that it begins or belongs to."""
        key = _key(message, back)
        if message.duplicate and message.qos and (message.mid, key) in self._answered:
            return Standing.ANSWERED, Entry(message, back, [message])
        if back.correlation or message.duplicate:
            for entry in self._pending.get(key, ()):
                if entry.message.payload == message.payload:
                    entry.copies.append(message)
                    return Standing.JOINED, entry
        entry = Entry(message, back, [message])
        if self._count >= self._most:
            return Standing.FULL, entry
        self._pending.setdefault(key, []).append(entry)
        self._count += 1
        return Standing.NEW, entry

    def answered(self, entry: Entry) -> None:
        """Note that a request's answer is on its way."""
        self.dropped(entry)
        for message in entry.copies:
            if message.qos:
                self._answered[message.mid, _key(message, entry.back)] = None
        while len(self._answered) > REMEMBERED:
            self._answered.popitem(last=False)

    def dropped(self, entry: Entry) -> None:
        """Note that a request is not under way any more."""
        key = _key(entry.message, entry.back)
        entries = self._pending.get(key, [])
        if entry not in entries:
            return
        entries.remove(entry)
        self._count -= 1
        if not entries:
            del self._pending[key]


def _key(message: Message, back: ReturnAddress) -> _Key:
    payload = message.payload
    ends = zlib.crc32(payload[-_ENDS_BYTES:], zlib.crc32(payload[:_ENDS_BYTES]))
    return message.topic, back, len(payload), ends
