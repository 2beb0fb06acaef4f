"""One HTTP/1.1 request and its response: what the application receives and sends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache
from typing import Final

from gateway.errors import GatewayBug
from gateway.serving.asgi import LEAVING, Message, Scope
from gateway.serving.http.inbox import Inbox
from gateway.serving.http.limits import HttpLimits
from gateway.serving.http.pace import Pace
from gateway.serving.http.request_reader import RequestHead
from gateway.serving.http.response_head import Framing, Head, response_head
from gateway.serving.http.wire import Wire

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
# Below this, one write of head and body together is cheaper than two.
_JOIN_BYTES: Final = 65_536


class Exchange:
    """What stands between the application and the connection for one request.

    Args:
        head: The request's.
        scope: Made of it.
        wire: Where the response goes.
        limits: What the client may cost.
        is_closing: Tells whether no further request is served.
    """

    def __init__(
        self,
        head: RequestHead,
        scope: Scope,
        wire: Wire,
        limits: HttpLimits,
        is_closing: Callable[[], bool],
    ) -> None:
        self.scope = scope
        self.inbox = Inbox(wire.loop, self._taken)
        scope["extensions"][LEAVING] = self.inbox
        self.pace = Pace(limits.body_s, limits.least_bytes_s, wire.loop.time())
        self.closes = not head.keeps
        self.is_begun = False
        self.is_done = False
        self.task: asyncio.Task[None] | None = None
        self.eased: Callable[[], None] | None = None
        self.is_modern = head.version == "1.1"
        self._head = head
        self._wire = wire
        self._limits = limits
        self._is_closing = is_closing
        self._response: tuple[int, tuple[tuple[bytes, bytes], ...]] | None = None
        self._framing: Head | None = None
        self._sent_bytes = 0
        self._taken_bytes = 0

    async def receive(self) -> Message:
        """Return ASGI's next message. Cancel-safe."""
        if self._head.expects and self.inbox.is_waited_for and not self.is_begun:
            self._head.expects = False
            self._wire.write(CONTINUE)
        return await self.inbox.receive()

    async def send(self, message: Message) -> None:
        """Take ASGI's next message; return once the client has taken most of what was sent.

        Raises:
            GatewayBug: The application sends what makes no response.
        """
        if self.is_done or self._wire.is_over:
            return
        if message["type"] == "http.response.start":
            if self._response is not None:
                raise GatewayBug("a response was begun twice")
            self._response = (message["status"], tuple(map(tuple, message.get("headers", ()))))
            return
        if message["type"] != "http.response.body":
            return
        body, more = bytes(message.get("body", b"")), bool(message.get("more_body", False))
        self._write(self._framed(body, more=more), body)
        self.is_done = not more
        if not more:
            self.inbox.leave()
        wire, limits = self._wire, self._limits
        if wire.is_full:
            self.pace = Pace(min(limits.taking_s, limits.response_s), limits.least_bytes_s, wire.loop.time())
            self._taken_bytes = wire.taken_bytes
            wire.alarm.at(self.pace.deadline_s)
            await wire.drained()
        if more and not wire.is_over:
            wire.alarm.within(limits.response_s)

    def goes_on(self) -> float:
        """Return until when a client is waited for that takes its response slowly."""
        before, self._taken_bytes = self._taken_bytes, self._wire.taken_bytes
        return self.pace.moved(self._taken_bytes - before, self._wire.loop.time())

    def restart(self) -> None:
        """Begin to count the time of the body anew: the client was held back."""
        limits = self._limits
        self.pace = Pace(limits.body_s, limits.least_bytes_s, self._wire.loop.time())

    def forget(self) -> None:
        """The application has ended: hold on to nothing that holds on to this.

        A task that was cancelled keeps what its functions held, a body among it. In a ring that would stay
        until the collector looks, which is seldom.
        """
        self.task = None
        self.inbox.forget()

    def _begin(self) -> tuple[bytes, Head]:
        """Return the bytes of the head if they were not sent, and how the body is framed."""
        if self._framing is not None:
            return b"", self._framing
        if self._response is None:
            raise GatewayBug("a response's body came before its beginning")
        # What is left of a request's body is not read past: its client is told, and the connection ends.
        closes = self.closes or self._is_closing() or not self.inbox.is_whole
        status, headers = self._response
        date = http_date(int(time.time()))
        head = _response_head(status, headers, date, (self.scope["method"], self._head.version), closes)
        self._framing, self.closes, self.is_begun = head, head.closes, True
        return head.data, head

    def _framed(self, body: bytes, *, more: bool) -> tuple[bytes, bytes]:
        """Return what goes before and after a piece of the body."""
        before, head = self._begin()
        if head.framing is Framing.LENGTH:
            self._sent_bytes += len(body)
            if self._sent_bytes > head.length or (not more and self._sent_bytes != head.length):
                raise GatewayBug(f"a response of {head.length} bytes was said, {self._sent_bytes} were sent")
        elif head.framing is Framing.CHUNKED:
            if body:
                before += b"%x\r\n" % len(body)
            after = b"\r\n" if body else b""
            return before, after if more else after + b"0\r\n\r\n"
        return before, b""

    def _write(self, around: tuple[bytes, bytes], body: bytes) -> None:
        before, after = around
        if self._framing is not None and self._framing.framing is Framing.NONE:
            body = b""
        if len(body) <= _JOIN_BYTES:
            data = before + body + after
            if data:
                self._wire.write(data)
            return
        for part in (before, body, after):
            if part:
                self._wire.write(part)

    def _taken(self, _bytes: int) -> None:
        if self.eased is not None:
            self.eased()


@lru_cache(maxsize=128)
def _response_head(
    status: int, headers: tuple[tuple[bytes, bytes], ...], date: bytes, wants: tuple[str, str], closes: bool
) -> Head:
    """Write a head, or give the same again: answers of one second often differ in their bodies alone."""
    return response_head(status, headers, date, wants=wants, closes=closes)


@lru_cache(maxsize=2)
def http_date(second: int) -> bytes:
    """Return the value of a ``date`` header."""
    return formatdate(second, usegmt=True).encode()
