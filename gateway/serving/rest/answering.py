"""Sends an answer: compressed if the client wants that and it is worth it, whole, with its length."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from gateway.serving.asgi import Send
from gateway.serving.rest.bodies import Room
from gateway.serving.rest.encodings import IDENTITY, compress, wanted_encoding
from gateway.serving.rest.exchange import BINARY, Reply

_LEAST_COMPRESSED: Final = 1024
# Smaller answers are bounded by how many requests there may be at a time.
_LEAST_COUNTED: Final = 16_384
_COMPRESSED_ASIDE: Final = 65_536
_PLAIN: Final = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))


class Answers:
    """Sends answers. Those that wait for clients to take them are bounded in all."""

    def __init__(self, most_bytes: int) -> None:
        """Prepare.

        Args:
            most_bytes: All together may be as large as a few of this size.
        """
        self._room = Room(most_bytes, "answers wait that nobody takes,")

    async def send(self, reply: Reply, method: str, headers: Mapping[bytes, bytes], send: Send) -> None:
        """Send one; for the arguments see ``answer``.

        Raises:
            Overloaded: Too much waits; nothing was sent.
        """
        size = len(reply.body)
        if size < _LEAST_COUNTED:
            await answer(reply, method, headers, send)
            return
        self._room.take(size)
        try:
            await answer(reply, method, headers, send)
        finally:
            self._room.give_back(size)


async def answer(reply: Reply, method: str, headers: Mapping[bytes, bytes], send: Send) -> None:
    """Send an answer.

    Args:
        reply: What is said.
        method: Of the request: HEAD gets no body.
        headers: Of the request.
        send: ASGI's.
    """
    body, encoding = reply.body, IDENTITY
    accepted = headers.get(b"accept-encoding")
    if accepted is not None and len(body) >= _LEAST_COMPRESSED:
        encoding = _encoding(reply, accepted.decode("latin-1"))
        if encoding != IDENTITY:
            aside = len(body) > _COMPRESSED_ASIDE
            body = await asyncio.to_thread(compress, body, encoding) if aside else compress(body, encoding)
    said = [*_PLAIN, *reply.headers]
    if reply.status != 204:
        said.append((b"content-length", str(len(body)).encode()))
    if reply.content_type:
        said += [(b"content-type", reply.content_type), (b"vary", b"accept-encoding")]
    if encoding != IDENTITY:
        said.append((b"content-encoding", encoding.encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": said})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})


def _encoding(reply: Reply, accepted: str) -> str:
    """Return how to compress.

    Who names one encoding alone gets it: HTTP libraries send lists of themselves. For those, bytes of
    tensors hardly shrink, and Triton's asynchronous client sends one and unpacks models' answers alone.
    Errors are never compressed: it does not unpack those at all.
    """
    encoding, is_wish = wanted_encoding(accepted)
    if reply.status != 200:
        return IDENTITY
    return encoding if is_wish or not (reply.is_page or reply.content_type == BINARY) else IDENTITY
