"""A client of HTTP/2 by the h2 library, which can also send what no client should."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    InformationalResponseReceived,
    PingAckReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)

from gateway.serving.listener import Listener

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RESET, SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION = 0, 1, 2, 3, 4, 6, 7, 8, 9


def frame(kind: int, stream: int = 0, payload: bytes = b"", flags: int = 0) -> bytes:
    """Return a frame."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


@dataclass
class Response:
    """What came on one stream."""

    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    has_ended: bool = False
    reset: int | None = None
    was_asked: bool = False


class H2Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, takes: bool) -> None:
        self.reader = reader
        self.writer = writer
        self.machine = H2Connection(
            H2Configuration(
                header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
            )
        )
        self.responses: dict[int, Response] = {}
        self.goaway: ConnectionTerminated | None = None
        self.has_ended = False
        self.pongs = 0
        self._takes = takes

    def begin(self) -> None:
        """Send the preface."""
        self.machine.initiate_connection()
        self.flush()

    def flush(self) -> None:
        """Send what is due."""
        data = self.machine.data_to_send()
        if data:
            self.writer.write(data)

    def ask(
        self,
        path: str = "/a",
        method: str = "GET",
        body: bytes | None = None,
        *,
        more: bool = False,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> int:
        """Send a request as far as the windows allow; return its stream."""
        stream = self.machine.get_next_available_stream_id()
        fields = [
            (b":method", method.encode()),
            (b":path", path.encode()),
            (b":scheme", b"http"),
            (b":authority", b"x"),
            *headers,
        ]
        self.machine.send_headers(stream, fields, end_stream=body is None and not more)
        self.responses[stream] = Response()
        if body is not None:
            self.push(stream, body, ends=not more)
        self.flush()
        return stream

    def push(self, stream: int, body: bytes, *, ends: bool) -> int:
        """Send as much of a body as the windows allow; return how much."""
        at = 0
        while at < len(body) or (ends and not body):
            room = min(self.machine.local_flow_control_window(stream), 16_384, len(body) - at)
            if room <= 0 and body:
                break
            self.machine.send_data(stream, body[at : at + room], end_stream=ends and at + room == len(body))
            at += room
            if not body:
                break
        self.flush()
        return at

    async def turn(self) -> None:
        """Read once."""
        data = b""
        with contextlib.suppress(ConnectionError):
            data = await self.reader.read(65_536)
        if not data:
            self.has_ended = True
            return
        for event in self.machine.receive_data(data):
            self._note(event)
        self.flush()

    async def answered(self, stream: int) -> Response:
        """Read until a stream or the connection has ended."""
        response = self.responses[stream]
        while not (response.has_ended or response.reset is not None or self.has_ended):
            await self.turn()
        return response

    async def upload(self, path: str, body: bytes) -> Response:
        """Send a body of any size, window by window, and return the answer."""
        stream = self.ask(path, "POST", more=True)
        at = 0
        while at < len(body) and not self.has_ended and self.responses[stream].reset is None:
            sent = self.push(stream, body[at:], ends=True)
            at += sent
            await self.writer.drain()
            if not sent:
                await self.turn()
        return await self.answered(stream)

    async def end(self) -> ConnectionTerminated | None:
        """Read until the server ends the connection; return its farewell."""
        while not self.has_ended:
            await self.turn()
        return self.goaway

    def _note(self, event: Event) -> None:
        if isinstance(event, ConnectionTerminated):
            self.goaway = event
            return
        if isinstance(event, PingAckReceived):
            self.pongs += 1
            return
        response = self.responses.setdefault(getattr(event, "stream_id", 0) or 0, Response())
        if isinstance(event, InformationalResponseReceived):
            response.was_asked = True
        elif isinstance(event, ResponseReceived):
            response.headers = {bytes(name): bytes(value) for name, value in event.headers or ()}
            response.status = int(response.headers[b":status"])
        elif isinstance(event, DataReceived):
            response.body += bytes(event.data or b"")
            if self._takes and event.flow_controlled_length:
                self.machine.acknowledge_received_data(event.flow_controlled_length, event.stream_id or 0)
        elif isinstance(event, StreamEnded):
            response.has_ended = True
        elif isinstance(event, StreamReset):
            response.reset = int(event.error_code or 0)


@contextlib.asynccontextmanager
async def h2_client(
    listener: Listener, tls: ssl.SSLContext | None = None, *, takes: bool = True, begins: bool = True
) -> AsyncIterator[H2Client]:
    """Connect, and begin; end at the end."""
    host, _, port = listener.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=tls)
    made = H2Client(reader, writer, takes=takes)
    try:
        if begins:
            made.begin()
        yield made
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)
