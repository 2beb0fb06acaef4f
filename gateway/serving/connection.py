"""One HTTP/1.1 connection: h11 reads and writes the protocol, an ASGI application answers.

The only importer of h11. Requests run one at a time; a client that is slow,
silent or wrong costs one timer and a bounded buffer, and is then cut off.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final, Protocol
from urllib.parse import unquote

import h11

from gateway.operations.log import log
from gateway.serving.asgi import Application, Message, Scope

_ABRUPT: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nretry-after: 1\r\nconnection: close\r\n\r\n"
)


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What one client may cost.

    Attributes:
        connections: Most connections at a time; more are answered 503 and closed.
        head_bytes: Largest request line and headers.
        body_bytes: Largest request body that is read past; no page wants one.
        head_s: Longest time for a request's head to arrive.
        idle_s: Longest silence between two requests; longer than common scrape intervals.
        response_s: Longest time for a response to be made and taken.
        grace_s: Longest wait for responses under way, and for the first request of who has just
            connected, when the listener closes.
    """

    connections: int = 64
    head_bytes: int = 16_384
    body_bytes: int = 65_536
    head_s: float = 10.0
    idle_s: float = 75.0
    response_s: float = 30.0
    grace_s: float = 0.5


class Door(Protocol):
    """What a connection needs of the listener that accepted it."""

    @property
    def closing(self) -> bool:
        """Whether no further request should be served."""
        ...

    def opened(self, connection: Connection) -> bool:
        """Take the connection in; False if there are too many."""
        ...

    def closed(self, connection: Connection) -> None:
        """Forget the connection."""
        ...


class Connection(asyncio.Protocol):
    """Feeds bytes to h11 and events to the application."""

    def __init__(self, app: Application, limits: HttpLimits, door: Door) -> None:
        self._app = app
        self._limits = limits
        self._door = door
        self._loop = asyncio.get_running_loop()
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.head_bytes)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._body_bytes = 0
        self._answered = False
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock for the first request, or refuse if there are too many."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self._door.opened(self):
            transport.write(_ABRUPT)
            transport.close()
            self._transport = None
            return
        self._arm(self._limits.head_s)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Stop everything that still runs for this client."""
        self._disarm()
        self._transport = None
        self._writable.set()
        if self.task is not None:
            self.task.cancel()
        self._door.closed(self)

    def pause_writing(self) -> None:
        """The client reads slowly: the application waits."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The client caught up."""
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client; garbage is answered 400 and ends the connection."""
        if self._transport is None or self._http.their_state is h11.ERROR:
            return
        self._http.receive_data(data)
        self._advance()

    def eof_received(self) -> bool:
        """Take the end of the client's bytes; what it asked for is still answered."""
        if self._transport is not None and self._http.their_state is not h11.ERROR:
            self._http.receive_data(b"")
            self._advance()
        return self.task is not None

    def close(self) -> None:
        """End when the response under way is out; at once if there is none."""
        if self.task is None:
            self._close()

    def retire(self) -> None:
        """End as soon as nobody loses by it: whose first request is still on its way gets an answer."""
        if self._answered:
            self.close()

    def abort(self) -> None:
        """End now."""
        if self._transport is not None:
            self._transport.abort()

    def _advance(self) -> None:
        """Act on what has arrived, up to one request."""
        try:
            while self._transport is not None:
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    return
                if event is h11.PAUSED:
                    # The next request waits for this one; so does the client.
                    self._transport.pause_reading()
                    return
                if isinstance(event, h11.ConnectionClosed):
                    # h11 says so again and again from here on.
                    self.close()
                    return
                self._handle(event)
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint)

    def _handle(self, event: object) -> None:
        if isinstance(event, h11.Request):
            self._arm(self._limits.response_s)
            self._body_bytes = 0
            name = f"http[{event.target[:80].decode('latin-1')}]"
            self.task = self._loop.create_task(self._respond(event), name=name)
        elif isinstance(event, h11.Data):
            self._body_bytes += len(event.data)
            if self._body_bytes > self._limits.body_bytes:
                self.abort()

    async def _respond(self, request: h11.Request) -> None:
        try:
            await self._app(_scope(request), self._receive, self._send)
        except Exception as error:  # noqa: BLE001 - a broken application must not end the listener
            log.event("http_failed", path=request.target.decode("latin-1"), error=error)
            self.abort()
        finally:
            self.task = None
            self._answered = True
        self._next_cycle()

    def _next_cycle(self) -> None:
        if self._transport is None:
            return
        ended = self._http.our_state is h11.DONE and self._http.their_state is h11.DONE
        if not ended or self._door.closing:
            self._close()
            return
        self._http.start_next_cycle()
        self._arm(self._limits.idle_s)
        self._transport.resume_reading()
        self._advance()

    async def _receive(self) -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            date = (b"date", formatdate(usegmt=True).encode())
            headers = [*message["headers"], date]
            if self._door.closing:
                headers.append((b"connection", b"close"))
            self._write(h11.Response(status_code=message["status"], headers=headers))
            return
        if message["body"]:
            self._write(h11.Data(data=message["body"]))
        if not message.get("more_body", False):
            self._write(h11.EndOfMessage())
        await self._writable.wait()

    def _write(self, event: h11.Event) -> None:
        if self._transport is not None:
            self._transport.write(self._http.send(event) or b"")

    def _refuse(self, status: int) -> None:
        """Say what is wrong with the request if nothing was said yet, and end."""
        if self.task is not None:
            self.task.cancel()
        if self._transport is not None and self._http.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            headers = [("content-length", "0"), ("connection", "close")]
            self._write(h11.Response(status_code=status, headers=headers))
            self._write(h11.EndOfMessage())
        self._close()

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._timer = self._loop.call_later(seconds, self.abort)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _scope(request: h11.Request) -> Scope:
    path, _, query = request.target.partition(b"?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": request.http_version.decode(),
        "method": request.method.decode("ascii"),
        "scheme": "http",
        "path": unquote(path.decode("latin-1")),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": list(request.headers),
    }
