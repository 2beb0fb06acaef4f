"""The memory door: programs of this machine hand memory over as descriptors, and ask for inferences on it.

Packets over a Unix socket (SOCK_SEQPACKET), read from the event loop; while
nobody asks, nothing wakes. docs/shared-memory.md describes the protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from types import TracebackType
from typing import Final

from gateway.errors import TooLarge
from gateway.serving.shared_memory.door_connection import DoorLimits, DoorParts, MemoryConnection
from gateway.serving.shared_memory.door_words import MAX_PACKET_BYTES
from gateway.serving.shared_memory.packets import Closer
from gateway.serving.unix_socket import BoundPath, bind_path

_ACCEPTS_A_TURN: Final = 16
# Where descriptors have run out, accepting again at once would only spin.
_ACCEPT_AGAIN_S: Final = 1.0
_CLOSING_S: Final = 0.2


class MemoryDoor:
    """Serves the socket between entry and exit; an asynchronous context manager."""

    def __init__(self, path: str, parts: DoorParts, limits: DoorLimits | None = None) -> None:
        """Prepare.

        Args:
            path: Where the socket's file goes: its owner and group may connect.
            parts: What stands behind the door.
            limits: What clients may cost.
        """
        self.path = path
        self.parts = parts
        self.limits = limits or DoorLimits()
        self.closer = Closer()
        self.buffer = bytearray(MAX_PACKET_BYTES)
        self.regions = 0
        self._bound: BoundPath | None = None
        self._again: asyncio.TimerHandle | None = None
        self._connections: set[MemoryConnection] = set()

    async def __aenter__(self) -> MemoryDoor:
        """Bind and begin to listen.

        Raises:
            OSError: The path cannot be listened at.
        """
        self._bound = bind_path(self.path, socket.SOCK_SEQPACKET)
        self._listen()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take no more packets, answer what is under way within the grace time, cut the rest."""
        bound, self._bound = self._bound, None
        if bound is None:
            return
        if self._again is not None:
            self._again.cancel()
        asyncio.get_running_loop().remove_reader(bound.sock)
        bound.sock.close()
        bound.remove()
        connections = tuple(self._connections)
        tasks = [task for connection in connections for task in connection.tasks]
        for connection in connections:
            connection.retire()
        if tasks:
            await asyncio.wait(tasks, timeout=self.limits.grace_s)
        for connection in connections:
            connection.close()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.closer.wait(_CLOSING_S)

    def add_region(self) -> None:
        """Count one region more.

        Raises:
            TooLarge: There are as many as allowed, of all clients.
        """
        most = self.parts.settings.shared_memory.max_regions
        if self.regions >= most:
            raise TooLarge(
                f"there are {most} regions, which is what serving.shared_memory.max_regions allows"
            )
        self.regions += 1

    def drop_regions(self, count: int) -> None:
        """Count regions no longer."""
        self.regions -= count

    def closed(self, connection: MemoryConnection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)

    def _listen(self) -> None:
        self._again = None
        if self._bound is not None:
            asyncio.get_running_loop().add_reader(self._bound.sock, self._accept)

    def _accept(self) -> None:
        assert self._bound is not None, "nothing is accepted before entry"
        for _ in range(_ACCEPTS_A_TURN):
            try:
                sock, _ = self._bound.sock.accept()
            except BlockingIOError:
                return
            except OSError:
                loop = asyncio.get_running_loop()
                loop.remove_reader(self._bound.sock)
                self._again = loop.call_later(_ACCEPT_AGAIN_S, self._listen)
                return
            self._open(sock)

    def _open(self, sock: socket.socket) -> None:
        if len(self._connections) >= self.limits.connections or self.closer.is_stuck:
            sock.close()
            return
        sock.setblocking(False)
        connection = None
        with contextlib.suppress(OSError):
            connection = MemoryConnection(sock, self)
        if connection is None:
            sock.close()
        elif not connection.is_closed:
            self._connections.add(connection)
