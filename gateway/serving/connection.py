"""Takes a new connection in: counts it, makes TLS, finds out which HTTP it speaks, and hands bytes on."""

from __future__ import annotations

import asyncio
import ssl
from asyncio import sslproto
from typing import Any, Final, Protocol

from gateway.operations.log import log
from gateway.serving.http.ends import find_ends, origin
from gateway.serving.http.exchange1 import http_date
from gateway.serving.http.limits import HttpLimits
from gateway.serving.http.refusal import TOO_MANY_CONNECTIONS
from gateway.serving.http.response_head import response_head
from gateway.serving.http.service import Door, Service
from gateway.serving.http.speaker1 import Speaker1
from gateway.serving.http.wire import Wire

__all__ = ["Connection", "Hall", "HttpLimits"]

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_REFUSED_S: Final = 1.0
# asyncio holds this much for each encrypted connection, whether it speaks or not. Its own 256 KiB would be
# half a gigabyte for all that may come, and carries large bodies no faster.
_tls: Any = sslproto.SSLProtocol
_tls.max_size = 32_768


class Hall(Door, Protocol):
    """What a connection needs of the listener that accepted it."""

    @property
    def tls(self) -> ssl.SSLContext | None:
        """How new connections are encrypted; None for not at all."""
        ...

    def opened(self, connection: Connection) -> bool:
        """Take the connection in; False if there are too many."""
        ...

    def closed(self, connection: Connection) -> None:
        """Forget the connection."""
        ...


class Connection(asyncio.Protocol):
    """Stands between asyncio and what speaks HTTP."""

    def __init__(self, service: Service, hall: Hall) -> None:
        self._service = service
        self._hall = hall
        self._loop = asyncio.get_running_loop()
        self._wire: Wire | None = None
        self._transport: asyncio.Transport | None = None
        self._greeting: asyncio.Task[None] | None = None
        self._early = b""
        self._speaks = False
        self._is_encrypted = False
        self.origin = ""

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to speak, or refuse if there are too many."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.origin = origin(transport)
        context = self._hall.tls
        if not self._hall.opened(self):
            self._refuse(transport, is_plain=context is None)
        elif context is None:
            self._open(transport)
        else:
            self._greeting = self._loop.create_task(self._greet(transport, context))

    def data_received(self, data: bytes) -> None:
        """Hand bytes on, once it is known which HTTP they are."""
        if self._speaks:
            assert self._wire is not None
            self._wire.received(data)
            return
        self._early += data
        self._choose()

    def eof_received(self) -> bool:
        """Hand the end of the client's bytes on; over TLS both ways end together."""
        stays = self._wire is not None and self._speaks and self._wire.ended()
        return stays and not self._is_encrypted

    def pause_writing(self) -> None:
        """The client reads slowly."""
        if self._wire is not None:
            self._wire.filled()

    def resume_writing(self) -> None:
        """The client caught up."""
        if self._wire is not None:
            self._wire.emptied()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Stop everything that still runs for this client."""
        self._transport = None
        if self._wire is not None:
            self._wire.lost()
        if self._greeting is not None:
            self._greeting.cancel()
        self._hall.closed(self)

    # What the listener calls.

    def retire(self) -> None:
        """End as soon as nobody loses by it: whose first request is still on its way gets an answer."""
        wire = self._wire
        if wire is not None and wire.speaker is not None and not wire.is_over:
            wire.speaker.retire()

    def abort(self) -> None:
        """End now."""
        if self._transport is not None:
            self._transport.abort()

    def tasks(self) -> list[asyncio.Task[None]]:
        """Return what runs for this client."""
        running = [] if self._greeting is None else [self._greeting]
        speaker = self._wire.speaker if self._wire is not None else None
        return running if speaker is None else running + speaker.tasks()

    def _refuse(self, transport: asyncio.Transport, *, is_plain: bool) -> None:
        refusal = TOO_MANY_CONNECTIONS
        self._wire = wire = Wire(self._loop, transport)
        self._speaks = True
        if not is_plain:
            wire.abort()
            return
        date = http_date(0)
        head = response_head(refusal.status, refusal.headers(), date, wants=("", "1.1"), closes=True)
        wire.write(head.data + refusal.body())
        wire.close(_REFUSED_S)

    async def _greet(self, transport: asyncio.Transport, context: ssl.SSLContext) -> None:
        handshake_s = self._service.limits.head_s
        try:
            encrypted = await self._loop.start_tls(
                transport, self, context, server_side=True, ssl_handshake_timeout=handshake_s
            )
        except (OSError, ssl.SSLError) as error:
            log.event("tls_refused", address=self.origin or "this machine", error=error)
            encrypted = None
        finally:
            self._greeting = None
        if encrypted is None or transport.is_closing():
            # Of a connection that ends within its handshake asyncio says nothing more.
            transport.abort()
            self._transport = None
            self._hall.closed(self)
            return
        self._transport = encrypted
        self._is_encrypted = True
        self._open(encrypted)

    def _open(self, transport: asyncio.Transport) -> None:
        """Begin to read; over TLS the client has said what it speaks, else its first bytes tell."""
        self._wire = Wire(self._loop, transport)
        self._wire.alarm.within(self._service.limits.head_s)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() == "h2":
            self._speak(_PREFACE)
        elif self._early:
            self._choose()

    def _choose(self) -> None:
        early = self._early
        if self._wire is None or (len(early) < len(_PREFACE) and _PREFACE.startswith(early)):
            return
        self._speak(early)

    def _speak(self, first: bytes) -> None:
        wire = self._wire
        assert wire is not None
        assert self._transport is not None
        ends = find_ends(self._transport)
        if first.startswith(_PREFACE):
            # Only who speaks it pays for it.
            from gateway.serving.http.speaker2 import Speaker2

            wire.speaker = Speaker2(self._service, wire, ends)
        else:
            wire.speaker = Speaker1(self._service, wire, ends)
        self._speaks = True
        early, self._early = self._early, b""
        if early:
            wire.received(early)
