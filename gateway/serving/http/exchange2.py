"""One HTTP/2 request and its response: what the application receives and sends."""

from __future__ import annotations

import asyncio
import time
from typing import Final, Protocol

from gateway.errors import GatewayBug
from gateway.serving.asgi import LEAVING, Message, Scope
from gateway.serving.http.alarm import Alarm
from gateway.serving.http.exchange1 import http_date
from gateway.serving.http.inbox import Inbox
from gateway.serving.http.limits import HttpLimits
from gateway.serving.http.pace import Pace
from gateway.serving.http.response_head import content_length

# Fields of an application that belong to a connection of HTTP/1.1, and must not be sent.
_HOP: Final = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})
_NO_BODY: Final = frozenset({204, 304})
_UNSENDABLE: Final = (b"\r", b"\n", b"\0")

Headers = list[tuple[bytes, bytes]]


class Channel(Protocol):
    """What an exchange needs of its connection."""

    def send_head(self, stream: int, headers: Headers, *, ends: bool) -> None:
        """Send the head of a response."""
        ...

    def send_body(self, stream: int, body: memoryview, *, ends: bool) -> int:
        """Send as much of a body as the client takes now; return how many bytes."""
        ...

    async def room(self, stream: int) -> None:
        """Wait until the client takes more, or is gone. Cancel-safe."""
        ...

    def ask_body(self, stream: int) -> None:
        """Tell the client that its body is wanted (``100 Continue``)."""
        ...

    def taken(self, stream: int, count: int) -> None:
        """The application took bytes of a body: the client may send as many again."""
        ...

    def overdue(self, exchange: Exchange) -> None:
        """The time of an exchange has passed."""
        ...


class Exchange:
    """What stands between the application and the connection for one request.

    Args:
        stream: Its number.
        scope: Of the request.
        channel: The connection.
        limits: What the client may cost.
        loop: The event loop.
    """

    def __init__(
        self,
        stream: int,
        scope: Scope,
        channel: Channel,
        limits: HttpLimits,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.stream = stream
        self.scope = scope
        self.inbox = Inbox(loop, self._taken)
        scope["extensions"][LEAVING] = self.inbox
        self.task: asyncio.Task[None] | None = None
        self.is_begun = False
        self.is_done = False
        self.is_answered = False
        self.body_bytes = 0
        self.unacknowledged = 0
        self.was_held = False
        self.alarm = Alarm(loop, self._rang)
        self._expects = any(n == b"expect" and v.lower() == b"100-continue" for n, v in scope["headers"])
        self._said_bytes = content_length(scope["headers"])
        self._channel = channel
        self._limits = limits
        self._loop = loop
        self._pace = Pace(limits.body_s, limits.least_bytes_s, loop.time())
        self._response: tuple[int, Headers] | None = None
        self._has_no_body = False
        self._length: int | None = None
        self._sent_bytes = 0

    def arrived(self, piece: bytes, cost: int) -> None:
        """Take a piece of the body; ``cost`` is what it counts for the client's window."""
        self.body_bytes += len(piece)
        self.unacknowledged += cost
        self.inbox.put(piece)
        self.alarm.at(self._pace.moved(len(piece), self._loop.time()))

    def await_body(self) -> None:
        """Begin to wait for the rest of the body."""
        self.was_held = False
        self._pace = Pace(self._limits.body_s, self._limits.least_bytes_s, self._loop.time())
        self.alarm.at(self._pace.deadline_s)

    def whole(self) -> None:
        """The request is whole; from now on the application's silence counts."""
        self.inbox.end()
        self.alarm.within(self._limits.response_s)

    def flaw(self, *, ended: bool) -> str:
        """Return what is wrong with the body as far as it came, or as it ended; empty if nothing is."""
        said = self._said_bytes
        fits = said is None or self.body_bytes == said or (not ended and self.body_bytes < said)
        return "" if fits else "the body is of another length than the head says"

    def stop(self) -> None:
        """The client is gone, or the request is refused."""
        self.alarm.drop()
        self.is_done = True
        self.inbox.leave()
        if self.task is not None:
            self.task.cancel()

    def forget(self) -> None:
        """The application has ended: hold on to nothing that holds on to this.

        A task that was cancelled keeps what its functions held, a body among it. In a ring that would stay
        until the collector looks, which is seldom.
        """
        self.task = None
        self.inbox.forget()
        self.alarm.drop()

    async def receive(self) -> Message:
        """Return ASGI's next message. Cancel-safe."""
        if self._expects and self.inbox.is_waited_for and not self.is_begun:
            self._expects = False
            self._channel.ask_body(self.stream)
        return await self.inbox.receive()

    async def send(self, message: Message) -> None:
        """Take ASGI's next message; return once the client takes all of it.

        Raises:
            GatewayBug: The application sends what makes no response.
        """
        if self.is_done:
            return
        if message["type"] == "http.response.start":
            if self._response is not None:
                raise GatewayBug("a response was begun twice")
            self._response = (message["status"], list(message.get("headers", ())))
            return
        if message["type"] != "http.response.body":
            return
        body, more = message.get("body", b""), bool(message.get("more_body", False))
        is_bare = self._begin(has_body=bool(body) or more)
        if not is_bare:
            self._count(len(body), more=more)
            await self._deliver(memoryview(body), ends=not more)
        if not more:
            self.is_done = self.is_answered = True
            self.inbox.leave()

    async def _deliver(self, body: memoryview, *, ends: bool) -> None:
        """Send a piece of the body as the client's windows allow."""
        at = self._channel.send_body(self.stream, body, ends=ends)
        if at < len(body):
            limits, now = self._limits, self._loop.time
            pace = Pace(min(limits.taking_s, limits.response_s), limits.least_bytes_s, now())
            self.alarm.at(pace.deadline_s)
            while at < len(body):
                await self._channel.room(self.stream)
                if self.is_done:
                    return
                sent = self._channel.send_body(self.stream, body[at:], ends=ends)
                at += sent
                self.alarm.at(pace.moved(sent, now()))
        self.alarm.within(self._limits.response_s)

    def _begin(self, *, has_body: bool) -> bool:
        """Send the head if it was not sent; return whether nothing may follow it."""
        if self.is_begun:
            return self._has_no_body
        if self._response is None:
            raise GatewayBug("a response's body came before its beginning")
        status, given = self._response
        headers = [(name.lower(), value) for name, value in given]
        headers = [(name, value) for name, value in headers if name not in _HOP]
        if any(bad in part for header in headers for part in header for bad in _UNSENDABLE):
            raise GatewayBug("a response's header holds a line break")
        self._has_no_body = self.scope["method"] == "HEAD" or status in _NO_BODY
        if not self._has_no_body:
            self._length = content_length(headers)
        if not any(name == b"date" for name, _ in headers):
            headers.append((b"date", http_date(int(time.time()))))
        self.is_begun = True
        ends = self._has_no_body or not has_body
        self._has_no_body = ends
        head = [(b":status", str(status).encode()), *headers]
        self._channel.send_head(self.stream, head, ends=ends)
        return ends

    def _count(self, count: int, *, more: bool) -> None:
        self._sent_bytes += count
        said = self._length
        if said is not None and (self._sent_bytes > said or (not more and self._sent_bytes != said)):
            raise GatewayBug(f"a response of {said} bytes was said, {self._sent_bytes} were sent")

    def _taken(self, _bytes: int) -> None:
        # Padding counts for the window too, so it is the cost that is given back.
        cost, self.unacknowledged = self.unacknowledged, 0
        self._channel.taken(self.stream, cost)
        if not self.inbox.is_whole:
            # The time in which the client was held back is not the client's.
            self.await_body()

    def _rang(self) -> None:
        self._channel.overdue(self)
