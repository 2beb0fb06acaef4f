"""A TCP proxy that does to a wire what the world does: delay, hang, cut in mid-message, refuse."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from types import TracebackType

from tests.ports import free_port

CHUNK_BYTES = 16_384


class Proxy:
    """Passes bytes between clients and one target, and spoils it on demand.

    Attributes:
        port: Where clients connect; kept over ``stop`` and ``start``.
        delay_s: Pause before each chunk is passed on, either way.
        black_hole: While set, bytes are read and thrown away: the wire looks whole.
        connections: How many clients have connected so far.
    """

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._left: int | None = None
        self.port = 0
        self.delay_s = 0.0
        self.black_hole = False
        self.connections = 0

    @property
    def url(self) -> str:
        """Address for ``mqtt.url``, without TLS."""
        return f"mqtt://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Proxy:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen; on the port of last time if there was one."""
        self.port = self.port or free_port()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """Refuse new clients and cut the ones there are."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def cut(self) -> None:
        """Reset every connection now, with whatever is on its way."""
        for writer in tuple(self._writers):
            sock = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):  # the other end was faster
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    def truncate(self, more_bytes: int) -> None:
        """Pass that many more bytes to clients, then cut."""
        self._left = more_bytes

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            with contextlib.suppress(OSError):  # the target is down: so is the wire
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
                await self._join(reader, writer, far_reader, far_writer)
        finally:
            self._writers.discard(writer)
            self._tasks.discard(task)
            writer.close()

    async def _join(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        self._writers.add(far_writer)
        ways = {
            asyncio.create_task(self._pass(reader, far_writer, to_client=False)),
            asyncio.create_task(self._pass(far_reader, writer, to_client=True)),
        }
        try:
            await asyncio.wait(ways)
        finally:
            self._writers.discard(far_writer)
            far_writer.close()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, to_client: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if self.black_hole:
                    continue
                if to_client and self._left is not None:
                    chunk, self._left = chunk[: self._left], self._left - len(chunk)
                    if self._left <= 0:
                        writer.write(chunk)
                        await writer.drain()
                        self._left = None
                        self.cut()
                        return
                writer.write(chunk)
                await writer.drain()
        writer.close()
