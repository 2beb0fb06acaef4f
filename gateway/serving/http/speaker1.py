"""Speaks HTTP/1.1 on one connection: one request at a time, in the order in which they came."""

from __future__ import annotations

import asyncio
import time

from gateway.errors import RequestRefused
from gateway.operations.log import log
from gateway.serving.asgi import Application
from gateway.serving.http.exchange1 import Exchange, http_date
from gateway.serving.http.limits import HttpLimits
from gateway.serving.http.parting import Parting
from gateway.serving.http.refusal import BODY_CUT, BODY_TOO_SLOW, Refusal, refusal_of
from gateway.serving.http.request_reader import RequestHead, RequestReader
from gateway.serving.http.response_head import response_head
from gateway.serving.http.scope import Ends, build_scope
from gateway.serving.http.service import Service
from gateway.serving.http.wire import Hold, Wire


class Speaker1:
    """Reads requests, runs the application, keeps the connection or ends it."""

    def __init__(self, service: Service, wire: Wire, ends: Ends) -> None:
        self._app: Application = service.app
        self._limits: HttpLimits = service.limits
        self._service = service
        self._wire = wire
        self._ends = ends
        self._reader = RequestReader(self, self._limits.head_bytes, self._limits.headers)
        self._exchange: Exchange | None = None
        self._ahead = b""
        self._has_ended = False
        self._was_answered = False
        self._parting: Parting | None = None
        wire.alarm.within(self._limits.head_s)

    # What the wire says.

    def received(self, data: bytes) -> None:
        """Take bytes; what follows a request waits until that is answered."""
        self._ahead = self._ahead + data if self._ahead else data
        self._go_on()
        if len(self._ahead) > self._limits.head_bytes:
            self._wire.hold(Hold.AHEAD)

    def ended(self) -> bool:
        """Answer what was asked still, if somebody is there to hear it."""
        self._has_ended = True
        exchange = self._exchange
        if exchange is None:
            return False
        if not exchange.inbox.is_whole:
            self._refuse(BODY_CUT)
            return True
        self._watch(exchange)
        return True

    def emptied(self) -> None:
        """Do nothing: the one response that waited goes on by itself."""

    def lost(self) -> None:
        """Stop the application."""
        if self._parting is not None:
            self._parting.close()
        exchange = self._exchange
        if exchange is not None:
            exchange.inbox.leave()
            if exchange.task is not None:
                exchange.task.cancel()

    def rang(self) -> None:
        """End a connection on which nothing goes on, and say so where a body is too slow."""
        exchange, wire = self._exchange, self._wire
        if exchange is not None and exchange.is_begun and wire.is_full:
            deadline_s = exchange.goes_on()
            if deadline_s > wire.loop.time():
                wire.alarm.at(deadline_s)
                return
        if exchange is None or exchange.is_begun or not self._waits_for_body(exchange):
            wire.abort()
        else:
            self._refuse(BODY_TOO_SLOW)

    def retire(self) -> None:
        """End now if nothing was asked; whose first request is still on its way gets an answer."""
        if self._exchange is None and self._was_answered and self._reader.is_between:
            self._wire.close(self._limits.taking_s)

    def tasks(self) -> list[asyncio.Task[None]]:
        """Return the application's task, if there is one."""
        exchange = self._exchange
        return [exchange.task] if exchange is not None and exchange.task is not None else []

    # What the reader says.

    def head(self, head: RequestHead) -> None:
        """Run the application.

        Raises:
            Malformed: The target is no path.
        """
        scope = build_scope(self._ends, head.version, head.method, head.target, head.headers)
        exchange = Exchange(head, scope, self._wire, self._limits, self._is_closing)
        exchange.eased = self._eased
        if self._has_ended:
            self._watch(exchange)
        if head.has_body:
            self._wire.alarm.within(self._limits.body_s)
        self._exchange = exchange
        exchange.task = self._wire.loop.create_task(self._serve(exchange))

    def body(self, piece: bytes) -> None:
        """Hand a piece of the body on, and hold a client back that is faster than the application."""
        exchange = self._exchange
        assert exchange is not None
        exchange.inbox.put(piece)
        if exchange.inbox.held_bytes > self._limits.ahead_bytes:
            self._wire.hold(Hold.BODY)
            self._wire.alarm.within(self._limits.response_s)
        else:
            self._wire.alarm.at(exchange.pace.moved(len(piece), self._wire.loop.time()))

    def end(self) -> None:
        """The request is whole; from now on the application's silence counts."""
        exchange = self._exchange
        assert exchange is not None
        exchange.inbox.end()
        self._wire.alarm.within(self._limits.response_s)

    # What comes of it.

    def _go_on(self) -> None:
        """Read what has arrived, up to the end of one request."""
        try:
            while self._ahead and not self._wire.is_over and self._may_read():
                was_between = self._reader.is_between
                taken = self._reader.take(self._ahead)
                self._ahead = self._ahead[taken:]
                if was_between and self._exchange is None and not self._reader.is_between:
                    self._wire.alarm.within(self._limits.head_s)
        except RequestRefused as error:
            self._refuse(refusal_of(error))

    def _may_read(self) -> bool:
        exchange = self._exchange
        return exchange is None or not (exchange.inbox.is_whole or exchange.is_done)

    async def _serve(self, exchange: Exchange) -> None:
        try:
            await self._app(exchange.scope, exchange.receive, exchange.send)
            if not exchange.is_done and exchange.inbox.is_gone:
                self._wire.abort()  # nobody is there to be answered
            elif not exchange.is_done and not self._wire.is_over:
                self._broke(exchange, RuntimeError("the application ended before its response did"))
        except Exception as error:  # noqa: BLE001 - a broken application must not end the listener
            self._broke(exchange, error)
        finally:
            self._exchange = None
            self._was_answered = True
            exchange.forget()
        self._next(exchange)

    def _broke(self, exchange: Exchange, error: Exception) -> None:
        log.event("http_failed", path=exchange.scope["path"], error=error)
        self._wire.abort()

    def _next(self, exchange: Exchange) -> None:
        wire = self._wire
        if wire.is_over:
            return
        if not exchange.inbox.is_whole:
            wire.linger(self._limits.linger_s)
            return
        if exchange.closes or self._service.door.closing:
            wire.close(self._limits.taking_s)
            return
        wire.alarm.within(self._limits.idle_s)
        wire.release(Hold.BODY)
        self._go_on()
        if len(self._ahead) <= self._limits.head_bytes:
            wire.release(Hold.AHEAD)
        if self._has_ended and self._exchange is None and not wire.is_over:
            wire.close(self._limits.taking_s)

    def _watch(self, exchange: Exchange) -> None:
        """Have found out whether who sends no more is there; where nothing can, he counts as gone."""
        parting = self._parting = self._parting or self._part()
        # The interim response by which it is found out is not for HTTP/1.0.
        if parting is None or parting.has_left or not (parting.is_told or exchange.is_modern):
            exchange.inbox.leave()
            return
        exchange.inbox.watched = parting.ask
        parting.ask()

    def _part(self) -> Parting | None:
        sock = self._wire.sock
        try:
            return None if sock is None else Parting(self._wire, sock, self._may_ask, self._left)
        except OSError:  # no descriptor is left
            return None

    def _may_ask(self) -> bool:
        exchange = self._exchange
        return exchange is not None and exchange.inbox.is_watched and not exchange.is_begun

    def _left(self) -> None:
        if self._exchange is not None:
            self._exchange.inbox.leave()

    def _refuse(self, refusal: Refusal) -> None:
        """Say what is wrong with the request if nothing was said yet, and end."""
        exchange, wire = self._exchange, self._wire
        if exchange is not None and exchange.task is not None:
            exchange.inbox.leave()
            exchange.task.cancel()
        if exchange is not None and exchange.is_begun:
            wire.abort()
            return
        # Who refuses knows no request, and so no method: a body is sent with every answer.
        date = http_date(int(time.time()))
        head = response_head(refusal.status, refusal.headers(), date, wants=("", "1.1"), closes=True)
        wire.write(head.data + refusal.body())
        wire.linger(self._limits.linger_s)

    def _eased(self) -> None:
        """The application took what had arrived."""
        exchange = self._exchange
        if exchange is None or not self._wire.holds(Hold.BODY):
            return
        self._wire.release(Hold.BODY)
        if not exchange.inbox.is_whole:
            # The time in which the client was held back is not the client's.
            exchange.restart()
            self._wire.alarm.at(exchange.pace.deadline_s)

    def _waits_for_body(self, exchange: Exchange) -> bool:
        return not exchange.inbox.is_whole and not self._wire.holds(Hold.BODY)

    def _is_closing(self) -> bool:
        return self._service.door.closing
