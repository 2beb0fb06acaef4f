"""A server that answers anything with the same bytes: what real brokers do too seldom to wait for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from gateway.mqtt.wire import Splitter


@contextlib.asynccontextmanager
async def scripted(answer: bytes, *, heard: bytearray | None = None) -> AsyncIterator[str]:
    """Serve ``answer``, then hang up; or, given ``heard``, stay and put there whatever comes.

    Yields:
        The address for ``mqtt.url``.
    """
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        with contextlib.suppress(OSError):
            first = await reader.read(1000)
            writer.write(answer)
            await writer.drain()
            if heard is not None:
                heard.extend(first)
                while chunk := await reader.read(1000):
                    heard.extend(chunk)
        writer.close()
        serving.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        while serving:
            await asyncio.wait(set(serving))


def packets(stream: bytes) -> list[tuple[int, bytes]]:
    """Cut a short stream into (first byte, body)."""
    splitter = Splitter(1_000_000)
    splitter.space()[: len(stream)] = stream
    splitter.filled(len(stream))
    found = []
    while (packet := splitter.take()) is not None:
        found.append((packet.first, bytes(packet.body)))
    return found
