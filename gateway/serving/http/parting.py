"""Tells a client that only stopped to send, and waits for its answer, from one that has left.

Over TCP both look alike until something is written: then the system of a client that has left resets
the connection. So ``100 Continue`` is written, which a client of HTTP/1.1 passes over while it waits for
its answer (RFC 9110, 15.2.1): as soon as the application wants to know, and then once a second. At a
socket in the file system nothing needs to be written, the kernel tells.
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable
from typing import Final

from gateway.serving.http.exchange1 import CONTINUE
from gateway.serving.http.wire import Wire

_AGAIN_S: Final = 1.0


class Parting:
    """Watches one connection whose client sends no more, from then on until ``close``.

    Attributes:
        is_told: The kernel tells at once when the client leaves; nothing is written.
        has_left: Whether it has.

    Args:
        wire: The connection.
        sock: Its socket.
        may_ask: Tells whether the application wants to know, and an interim response can be sent now.
        left: Called once, when the client has left.

    Raises:
        OSError: No descriptor is left.
    """

    def __init__(
        self, wire: Wire, sock: socket.socket, may_ask: Callable[[], bool], left: Callable[[], None]
    ) -> None:
        self.is_told = sock.family == socket.AF_UNIX
        self.has_left = False
        self._wire = wire
        self._may_ask = may_ask
        self._left = left
        self._timer: asyncio.TimerHandle | None = None
        # asyncio reads no further after the end; with no event asked for, epoll still tells of a hang-up.
        self._epoll = select.epoll()
        self._epoll.register(sock.fileno(), 0)
        wire.loop.add_reader(self._epoll.fileno(), self._hung_up)

    def ask(self) -> None:
        """Find out whether the client is still there, unless that is being done."""
        if self._timer is None and not self.is_told:
            self._ask()

    def close(self) -> None:
        """Watch no more. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._epoll.closed:
            self._wire.loop.remove_reader(self._epoll.fileno())
            self._epoll.close()

    def _ask(self) -> None:
        self._timer = None
        if not self._epoll.closed and self._may_ask():
            self._wire.write(CONTINUE)
            self._timer = self._wire.loop.call_later(_AGAIN_S, self._ask)

    def _hung_up(self) -> None:
        self.has_left = True
        self.close()
        self._left()
