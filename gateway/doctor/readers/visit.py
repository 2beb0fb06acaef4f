"""One visit to a broker: a connection of its own that asks, waits with a limit, and remembers what came."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

from gateway.errors import Unavailable
from gateway.mqtt.message import Message
from gateway.mqtt.outgoing import Outgoing
from gateway.mqtt.subscriptions import Wanted
from gateway.mqtt.transport import Transport
from gateway.mqtt.wait import Bell

_FAILURES: Final = 0x80


class Visit:
    """What the transport tells of, kept until somebody asks. Not cancel-safe by itself: its owner aborts.

    Attributes:
        transport: Set by its owner, before anything is asked.
        messages: The latest message of each topic, and when it came (monotonic seconds).
    """

    def __init__(self) -> None:
        self.transport: Transport | None = None
        self.messages: dict[str, tuple[Message, float]] = {}
        self._answers: dict[int, list[int]] = {}
        self._news = Bell()

    def received(self, message: Message) -> None:
        """Keep a message; the broker is told that it came."""
        self.messages[message.topic] = (message, time.perf_counter())
        if message.qos and self.transport is not None:
            self.transport.acknowledge(message.mid)
        self._news.ring()

    def dropped(self, reason: str, topic: str) -> None:
        """Take no notice: what cannot be read was not ours."""

    def confirmed(self, mid: int, code: int) -> None:
        """Keep the answer to a publish."""
        self._answers[mid] = [code]
        self._news.ring()

    def settled(self, mid: int, codes: Sequence[int]) -> None:
        """Keep the answer to a subscribe."""
        self._answers[mid] = list(codes)
        self._news.ring()

    def writable(self) -> None:
        """Do nothing: a visit sends one thing at a time."""

    async def subscribe(self, topic: str, limit_s: float, *, qos: int = 0) -> None:
        """Ask for a topic, and wait for the broker's yes.

        Raises:
            Unavailable: It said no, nothing, or hung up.
        """
        mid = self._here().subscribe([Wanted(topic, qos, 0, False)], identified=False)
        await self._answer(mid, limit_s, f"the subscription to {topic}")

    async def publish(self, message: Outgoing, limit_s: float) -> None:
        """Send a message of QoS 1, and wait until the broker has it.

        Raises:
            Unavailable: It said no, nothing, or hung up.
        """
        mid = self._here().publish(message)
        await self._answer(mid, limit_s, f"the message to {message.topic}")

    async def heard(self, topic: str, limit_s: float) -> tuple[Message, float] | None:
        """Wait for a message of a topic; take it out. None if none came in time."""
        deadline_s = time.monotonic() + limit_s
        while topic not in self.messages:
            if not await self._turn(deadline_s):
                return None
        return self.messages.pop(topic)

    def _here(self) -> Transport:
        transport = self.transport
        if transport is None or transport.closed.done():
            raise Unavailable("the broker hung up")
        return transport

    async def _answer(self, mid: int | None, limit_s: float, what: str) -> None:
        if mid is None:
            raise Unavailable("the broker hung up")
        deadline_s = time.monotonic() + limit_s
        while mid not in self._answers:
            if not await self._turn(deadline_s):
                self._here()  # if it hung up, that is what is said
                raise Unavailable(f"{what} was not answered within {limit_s:g} s")
        codes = self._answers.pop(mid)
        if any(code >= _FAILURES for code in codes):
            raise Unavailable(f"the broker refuses {what} (reason code {codes[0]:#04x})")

    async def _turn(self, deadline_s: float) -> bool:
        """Wait for news; tell whether there was any, or the connection is over, before the deadline."""
        transport = self._here()
        news = asyncio.ensure_future(self._news.heard_by(deadline_s))
        waited: set[asyncio.Future[Any]] = {news, transport.closed}
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            return news.done() and news.result()
        finally:
            news.cancel()
