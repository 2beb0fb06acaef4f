"""Speaks HTTP/2 on one connection: many requests at a time, each a task of its own.

The library's state machine does frames, compression and windows; what a client may cost is decided
here and by the frame meter, which sees every byte first.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from typing import Final

from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import H2Error, ProtocolError

from gateway.errors import RequestRefused
from gateway.operations.log import log
from gateway.serving.http.exchange2 import Exchange, Headers
from gateway.serving.http.frame_meter import TOO_LARGE, FrameMeter
from gateway.serving.http.machine2 import machine_of
from gateway.serving.http.refusal import BODY_TOO_SLOW, Refusal, refusal_of
from gateway.serving.http.request_fields import flaw_of_request, flaw_of_trailers, request_fields
from gateway.serving.http.scope import Ends, build_scope
from gateway.serving.http.service import Service
from gateway.serving.http.wire import Hold, Wire

_PREFACE_BYTES: Final = 24
_LAST_STREAM: Final = 2**31 - 1
_LARGEST_FRAME: Final = 16_384
# The header of the frame, the last request that is served, and why.
_GOAWAY: Final = struct.Struct("!9sII")


class Speaker2:
    """Reads frames, runs the application, and bounds what a client may cost."""

    def __init__(self, service: Service, wire: Wire, ends: Ends) -> None:
        self._service = service
        self._limits = service.limits
        self._wire = wire
        self._ends = ends
        self._meter = FrameMeter(self._limits, wire.loop.time())
        self._preface_left = _PREFACE_BYTES
        self._exchanges: dict[int, Exchange] = {}
        # Tasks that were told to end live on for a turn; they are counted too.
        self._running: set[asyncio.Task[None]] = set()
        self._rooms: dict[int, asyncio.Future[None]] = {}
        self._is_retiring = False
        self._was_answered = False
        self._machine = machine_of(self._limits)
        wire.write(self._machine.data_to_send())
        self._idle_until_s = wire.loop.time() + self._limits.head_s
        self._part_until_s: float | None = None
        self._set_alarm()

    # What the wire says.

    def received(self, data: bytes) -> None:
        """Take bytes; a flood, or what is no HTTP/2, ends the connection."""
        now_s = self._wire.loop.time()
        skipped = min(self._preface_left, len(data))
        self._preface_left -= skipped
        flood = self._meter.take(data[skipped:] if skipped else data, now_s)
        if flood:
            is_one = flood == TOO_LARGE
            self._end(ErrorCodes.FRAME_SIZE_ERROR if is_one else ErrorCodes.ENHANCE_YOUR_CALM, flood)
            return
        try:
            events = self._machine.receive_data(data)
            for event in events:
                self._handle(event)
        except ProtocolError as error:
            self._flush()
            self._end(ErrorCodes.PROTOCOL_ERROR, str(error), is_said=True)
            return
        self._flush()
        self._wake()
        self._set_alarm()

    def ended(self) -> bool:
        """Answer what was asked still; tell the application that its client may be gone."""
        for exchange in tuple(self._exchanges.values()):
            if exchange.inbox.is_whole:
                exchange.inbox.leave()
            else:
                exchange.stop()
        self._is_retiring = True
        return bool(self._exchanges)

    def lost(self) -> None:
        """Stop the application."""
        for exchange in tuple(self._exchanges.values()):
            exchange.stop()
        self._wake()

    def emptied(self) -> None:
        """The client took its answers: it may ask further."""
        self._wire.release(Hold.REPLIES)
        self._set_alarm()

    def rang(self) -> None:
        """End a connection on which nothing goes on."""
        self._end(ErrorCodes.NO_ERROR, "")

    def retire(self) -> None:
        """Answer the requests that are here or on their way, and end."""
        if self._is_retiring:
            return
        self._is_retiring = True
        self._go_away(_LAST_STREAM, ErrorCodes.NO_ERROR)
        if not self._exchanges and self._was_answered:
            self._end(ErrorCodes.NO_ERROR, "")

    def tasks(self) -> list[asyncio.Task[None]]:
        """Return what runs for the client."""
        return list(self._running)

    # What exchanges ask.

    def send_head(self, stream: int, headers: Headers, *, ends: bool) -> None:
        """Send the head of a response."""
        try:
            self._machine.send_headers(stream, headers, end_stream=ends)
        except H2Error:
            return  # the client took its request back a moment ago
        if ends:
            self._flush()

    def send_body(self, stream: int, body: memoryview, *, ends: bool) -> int:
        """Send as much of a body as the client takes now; return how many bytes."""
        machine, at, size = self._machine, 0, len(body)
        try:
            while at < size and not self._wire.is_full:
                most = min(machine.local_flow_control_window(stream), machine.max_outbound_frame_size)
                if most <= 0:
                    break
                piece = body[at : at + min(most, _LARGEST_FRAME)]
                at += len(piece)
                machine.send_data(stream, bytes(piece), end_stream=ends and at == size)
                self._flush()
            if ends and not size:
                machine.end_stream(stream)
        except H2Error:
            at = size  # the client took its request back a moment ago
        self._flush()
        self._meter.sent(at)
        return at

    async def room(self, stream: int) -> None:
        """Wait until the client takes more, or is gone. Cancel-safe."""
        if self._wire.is_full:
            await self._wire.drained()
            return
        room = self._rooms[stream] = self._wire.loop.create_future()
        try:
            await room
        finally:
            self._rooms.pop(stream, None)

    def ask_body(self, stream: int) -> None:
        """Tell the client that its body is wanted."""
        try:
            self._machine.send_headers(stream, [(b":status", b"100")])
        except H2Error:
            return
        self._flush()

    def taken(self, stream: int, count: int) -> None:
        """The application took bytes of a body: the client may send as many again."""
        self._acknowledge(stream, count)
        self._flush()

    def overdue(self, exchange: Exchange) -> None:
        """The time of an exchange has passed: it is answered if that is possible, else cut off."""
        if self._is_held(exchange):
            exchange.was_held = True
            exchange.alarm.within(self._limits.response_s)
            return
        exchange.stop()
        if exchange.is_begun or exchange.inbox.is_whole:
            self._reset(exchange.stream, ErrorCodes.CANCEL)
        else:
            self._refuse(exchange.stream, BODY_TOO_SLOW)

    def _is_held(self, exchange: Exchange) -> bool:
        """Return whether a body does not come because the application has not taken what came, as yet."""
        if exchange.is_begun or exchange.inbox.is_whole or exchange.was_held:
            return False
        try:
            return self._machine.remote_flow_control_window(exchange.stream) <= 0
        except H2Error:
            return False

    # What comes of it.

    def _handle(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            self._request(event)
        elif isinstance(event, DataReceived):
            self._data(event)
        elif isinstance(event, StreamEnded):
            self._whole(event.stream_id)
        elif isinstance(event, TrailersReceived):
            self._spoil(event.stream_id, flaw_of_trailers(event.headers or []))
        elif isinstance(event, StreamReset):
            self._stop(event.stream_id)
            if not event.remote_reset:
                self._count_reset("requests that had to be refused")
        elif isinstance(event, RemoteSettingsChanged):
            self._machine.settle_table()
        elif isinstance(event, ConnectionTerminated):
            # Who only says that it asks nothing more waits for what it has asked.
            self._is_retiring = True
            if event.error_code or not self._exchanges:
                self._end(ErrorCodes.NO_ERROR, "")

    def _request(self, event: RequestReceived) -> None:
        stream = event.stream_id
        fields = event.headers or []
        if self._wire.is_over or self._spoil(stream, flaw_of_request(fields)):
            return
        if len(self._running) >= self._limits.streams and self._is_full():
            self._reset(stream, ErrorCodes.REFUSED_STREAM)
            self._count_reset("requests above the limit")
            return
        try:
            method, target, headers = request_fields(fields, self._limits.headers)
            scope = build_scope(self._ends, "2", method, target, headers)
        except RequestRefused as error:
            self._refuse(stream, refusal_of(error))
            return
        exchange = Exchange(stream, scope, self, self._limits, self._wire.loop)
        self._exchanges[stream] = exchange
        exchange.await_body()
        exchange.task = task = self._wire.loop.create_task(self._serve(exchange))
        self._running.add(task)
        task.add_done_callback(lambda _: self._finished(exchange, task))

    def _is_full(self) -> bool:
        """Return whether no further request is served now."""
        # Who is answered asks anew before that application has ended; who takes back must wait for its end.
        running, most = len(self._running), self._limits.streams
        answered = sum(exchange.is_answered for exchange in self._exchanges.values())
        return running - answered >= most or running >= 2 * most

    def _data(self, event: DataReceived) -> None:
        stream, cost = event.stream_id, event.flow_controlled_length
        exchange = self._exchanges.get(stream)
        if exchange is None or exchange.is_done:
            self._acknowledge(stream, cost)
        elif event.data:
            exchange.arrived(bytes(event.data), cost)
            self._spoil(stream, exchange.flaw(ended=False))
        else:
            self._acknowledge(stream, cost)

    def _whole(self, stream: int) -> None:
        exchange = self._exchanges.get(stream)
        if exchange is None or exchange.is_done:
            return
        if not self._spoil(stream, exchange.flaw(ended=True)):
            exchange.whole()

    def _spoil(self, stream: int, flaw: str) -> bool:
        """End a malformed request, and no other; return whether it has a flaw."""
        if not flaw:
            return False
        log.event("http_refused", address=str(self._ends.client or "this machine"), reason=flaw)
        self._stop(stream)
        self._reset(stream, ErrorCodes.PROTOCOL_ERROR)
        self._count_reset("malformed requests")
        return True

    def _stop(self, stream: int) -> None:
        exchange = self._exchanges.get(stream)
        if exchange is not None:
            exchange.stop()

    def _count_reset(self, what: str) -> None:
        """Know that a request was not served; a client of many is one that attacks."""
        if self._meter.reset(self._wire.loop.time()):
            self._end(ErrorCodes.ENHANCE_YOUR_CALM, what)

    async def _serve(self, exchange: Exchange) -> None:
        service = self._service
        try:
            await service.app(exchange.scope, exchange.receive, exchange.send)
            if not exchange.is_done:
                self._broke(exchange, RuntimeError("the application ended before its response did"))
        except Exception as error:  # noqa: BLE001 - a broken application must not end the listener
            self._broke(exchange, error)

    def _broke(self, exchange: Exchange, error: Exception) -> None:
        log.event("http_failed", path=exchange.scope["path"], error=error)
        exchange.is_done = True
        exchange.inbox.leave()
        self._reset(exchange.stream, ErrorCodes.INTERNAL_ERROR)

    def _finished(self, exchange: Exchange, task: asyncio.Task[None]) -> None:
        """Forget an exchange whose application has ended."""
        self._running.discard(task)
        exchange.forget()
        self._exchanges.pop(exchange.stream, None)
        self._was_answered = True
        self._idle_until_s = self._wire.loop.time() + self._limits.idle_s
        if self._wire.is_over:
            return
        if not task.cancelled():
            self._meter.answered()
        self._acknowledge(exchange.stream, exchange.unacknowledged)
        if exchange.is_answered and not exchange.inbox.is_whole:
            # It was answered early: the client need not send the rest, but some read no answer after a reset.
            self._wire.later(self._limits.body_s, self._reset, exchange.stream, ErrorCodes.NO_ERROR)
        self._flush()
        if not self._exchanges and (self._is_retiring or self._service.door.closing):
            self._end(ErrorCodes.NO_ERROR, "")
            return
        self._set_alarm()

    def _refuse(self, stream: int, refusal: Refusal) -> None:
        headers = [(b":status", str(refusal.status).encode()), *refusal.headers()]
        with contextlib.suppress(H2Error):  # there may be no window: then the reset says it
            self._machine.send_headers(stream, headers)
            self._machine.send_data(stream, refusal.body(), end_stream=True)
        self._reset(stream, ErrorCodes.NO_ERROR)

    def _reset(self, stream: int, code: ErrorCodes) -> None:
        with contextlib.suppress(H2Error):  # it may have ended already
            self._machine.reset_stream(stream, code)
        self._flush()

    def _acknowledge(self, stream: int, count: int) -> None:
        if count and not self._wire.is_over:
            with contextlib.suppress(H2Error):  # the stream may be gone; the connection's window is opened
                self._machine.acknowledge_received_data(count, stream)

    def _flush(self) -> None:
        data = self._machine.data_to_send()
        if data:
            self._wire.write(data)
            # Whoever does not take the answers is not asked further.
            if self._wire.is_full:
                self._wire.hold(Hold.REPLIES)
                self._wire.alarm.within(self._limits.taking_s)

    def _wake(self) -> None:
        for room in tuple(self._rooms.values()):
            if not room.done():
                room.set_result(None)

    def _set_alarm(self) -> None:
        """Bound the silence of a client: within a frame, or while nothing is asked; neither is begun anew."""
        wire = self._wire
        if wire.is_over or wire.is_full:
            return
        if self._meter.is_in_block or (self._meter.is_in_frame and not self._exchanges):
            if self._part_until_s is None:
                self._part_until_s = wire.loop.time() + self._limits.head_s
            wire.alarm.at(self._part_until_s)
            return
        self._part_until_s = None
        if self._exchanges:
            wire.alarm.clear()
        else:
            wire.alarm.at(self._idle_until_s)

    def _go_away(self, last_stream: int, code: ErrorCodes) -> None:
        # The machine's own farewell would end streams that are still answered.
        self._flush()
        self._wire.write(_GOAWAY.pack(b"\0\0\x08\x07\0\0\0\0\0", last_stream, int(code)))

    def _end(self, code: ErrorCodes, why: str, *, is_said: bool = False) -> None:
        """Say farewell and end the connection with all that runs for it."""
        if self._wire.is_over:
            return
        if why:
            log.event("http_refused", address=str(self._ends.client or "this machine"), reason=why)
        if not is_said:
            self._go_away(self._machine.highest_inbound_stream_id, code)
        for exchange in tuple(self._exchanges.values()):
            exchange.stop()
        if code is ErrorCodes.NO_ERROR:
            self._wire.close(self._limits.taking_s)
        else:
            self._wire.linger(self._limits.linger_s)
