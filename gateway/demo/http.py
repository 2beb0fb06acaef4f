"""Asks the gateway's own HTTP port, without a client library."""

from __future__ import annotations

import asyncio
import contextlib

from gateway.errors import Malformed, Unavailable

MAX_BYTES = 4_194_304
LIMIT_S = 5.0


async def fetch(host: str, port: int, path: str) -> tuple[int, bytes]:
    """Return status code and body of a GET.

    Raises:
        Unavailable: Nobody answers in time.
        Malformed: The answer is no HTTP, or too long.

    Cancel-safe: the connection is closed.
    """
    try:
        return await asyncio.wait_for(_fetch(host, port, path), LIMIT_S)
    except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError) as error:
        raise Unavailable(f"http://{host}:{port}{path}: {type(error).__name__} {error}") from error


async def _fetch(host: str, port: int, path: str) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection(host, port, limit=MAX_BYTES)
    try:
        # HTTP/1.0 keeps the answer free of chunks, and ends it with the connection.
        writer.write(f"GET {path} HTTP/1.0\r\nHost: {host}:{port}\r\n\r\n".encode())
        await writer.drain()
        pieces, size = [], 0
        while piece := await reader.read(65_536):
            pieces.append(piece)
            size += len(piece)
            if size > MAX_BYTES:
                raise Malformed(f"http://{host}:{port}{path}: more than {MAX_BYTES} bytes")
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return parse(b"".join(pieces))


def parse(answer: bytes) -> tuple[int, bytes]:
    """Split a whole HTTP/1.x answer into status code and body.

    Raises:
        Malformed: It is none.
    """
    head, found, body = answer.partition(b"\r\n\r\n")
    words = head.split(b"\r\n", 1)[0].split(b" ")
    if not found or len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        raise Malformed("the answer is no HTTP/1")
    return int(words[1][:4]), body
