"""Listens for HTTP clients of one application and lets them go again.

An asynchronous context manager: bound on entry, everything closed on exit. It
has no loop of its own: while nobody asks, nothing wakes.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections import Counter
from types import TracebackType
from typing import Final

from gateway.mqtt.wait import set_by
from gateway.serving.address import Descriptor, UnixPath, format_address, parse_address
from gateway.serving.asgi import Application
from gateway.serving.connection import Connection
from gateway.serving.http.limits import HttpLimits
from gateway.serving.http.service import Service
from gateway.serving.unix_socket import BoundPath, bind_path

# A client that was accepted in the last moment is made known to us a few turns of the loop later.
_TURNS_TO_OPEN: Final = 5


class Listener:
    """Serves ``app`` on ``listen`` between entry and exit."""

    def __init__(
        self,
        app: Application,
        listen: str,
        limits: HttpLimits | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Prepare.

        Args:
            app: Answers the requests.
            listen: HOST:PORT, [IPV6]:PORT, unix:/PATH or fd://NUMBER; port 0 takes any free one.
            limits: What one client may cost.
            tls: How connections are encrypted; None for not at all.

        Raises:
            ValueError: ``listen`` is no address.
        """
        self._address = parse_address(listen)
        self._limits = limits or HttpLimits()
        self._service = Service(app, self._limits, self)
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._bound: BoundPath | None = None
        self._connections: set[Connection] = set()
        self._origins: Counter[str] = Counter()
        self._closing = False
        self._emptied = asyncio.Event()

    @property
    def address(self) -> str:
        """The bound address, with the real port."""
        assert self._server is not None, "not entered"
        name = self._server.sockets[0].getsockname()
        return name if isinstance(name, str) else format_address(*name[:2])

    @property
    def closing(self) -> bool:
        """Whether no further request is served."""
        return self._closing

    @property
    def tls(self) -> ssl.SSLContext | None:
        """How new connections are encrypted; None for not at all."""
        return self._tls

    def renew_tls(self, context: ssl.SSLContext) -> None:
        """Encrypt connections from now on otherwise, such as with a renewed certificate.

        Connections that exist keep what they have. A listener that began without TLS has none to renew.

        Raises:
            ValueError: It was opened without TLS.
        """
        if self._tls is None:
            raise ValueError("this door was opened without TLS; restart to change that")
        self._tls = context

    async def __aenter__(self) -> Listener:
        """Bind and begin to listen.

        Raises:
            OSError: The address cannot be bound.
        """
        loop = asyncio.get_running_loop()
        if isinstance(self._address, Descriptor):
            sock = socket.socket(fileno=self._address.fd)
            sock.setblocking(False)
            self._server = await loop.create_server(self._connection, sock=sock)
        elif isinstance(self._address, UnixPath):
            self._bound = bind_path(self._address.path)
            self._server = await loop.create_server(self._connection, sock=self._bound.sock)
        else:
            host, port = self._address.host or None, self._address.port
            self._server = await loop.create_server(self._connection, host, port, reuse_address=True)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop listening, answer who is connected already within the grace time, cut the rest.

        Whoever connects from now on waits for the next process, where the socket is the service manager's.
        """
        server, self._closing = self._server, True
        if server is None:
            return
        # First no more is accepted: a server closed between accepting and opening would drop the client.
        loop = asyncio.get_running_loop()
        for sock in server.sockets:
            loop.remove_reader(sock.fileno())
        for _ in range(_TURNS_TO_OPEN):
            await asyncio.sleep(0)
        server.close()
        if self._bound is not None:
            self._bound.remove()
        for connection in tuple(self._connections):
            connection.retire()
        if self._connections:
            self._emptied.clear()
            await set_by(self._emptied, time.monotonic() + self._limits.grace_s)
        tasks = [task for connection in self._connections for task in connection.tasks()]
        for connection in tuple(self._connections):
            connection.abort()
        await asyncio.gather(*tasks, return_exceptions=True)
        # Transports tell of their end a turn later.
        for _ in range(_TURNS_TO_OPEN):
            await asyncio.sleep(0)
        await server.wait_closed()

    def opened(self, connection: Connection) -> bool:
        """Take a connection in; False if there are too many, of all or of one address."""
        origin = connection.origin
        if len(self._connections) >= self._limits.connections:
            return False
        if origin and self._origins[origin] >= self._limits.connections_per_address:
            return False
        self._connections.add(connection)
        self._origins[origin] += 1
        return True

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""
        if connection in self._connections:
            self._connections.discard(connection)
            self._origins[connection.origin] -= 1
            if not self._origins[connection.origin]:
                del self._origins[connection.origin]
        if not self._connections:
            self._emptied.set()

    def _connection(self) -> Connection:
        return Connection(self._service, self)
