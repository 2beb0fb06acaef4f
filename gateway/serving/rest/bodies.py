"""Takes in the bodies of requests: bounded each and in all, decompressed beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Final

from gateway.errors import Malformed, Overloaded, TooLarge
from gateway.serving.asgi import Receive
from gateway.serving.call import Buffer
from gateway.serving.rest.encodings import IDENTITY, Unpacking, sent_encoding

# All bodies together may be as large as this many of the largest.
_BODIES_AT_A_TIME: Final = 4
# Room for the first piece of a compressed body.
_FIRST_PIECE_BYTES: Final = 65_536


class ClientLeft(Exception):
    """The client closed its connection, or took its request back."""


class Room:
    """Memory for the bodies of all requests under way, or all their answers; used in the event loop alone."""

    def __init__(self, most_bytes: int, whose: str = "requests under way have bodies") -> None:
        """Prepare.

        Args:
            most_bytes: Largest body.
            whose: What lies in it, in words.
        """
        self.most_bytes = most_bytes
        self._whose = whose
        self.used_bytes = 0

    def take(self, count: int) -> None:
        """Set ``count`` bytes aside; there is room for one alone, however large.

        Raises:
            Overloaded: There are not as many left.
        """
        limit = self.most_bytes * _BODIES_AT_A_TIME
        if self.used_bytes and self.used_bytes + count > limit:
            raise Overloaded(f"{self._whose} of more than {limit} bytes together")
        self.used_bytes += count

    def give_back(self, count: int) -> None:
        """Return ``count`` bytes that were set aside."""
        self.used_bytes -= count


class Body:
    """The body of one request; what it takes of the room is given back when its block is left."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._taken = 0

    def __enter__(self) -> Body:
        """Return itself."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give back what was taken."""
        self._room.give_back(self._taken)
        self._taken = 0

    async def read(self, receive: Receive, headers: Mapping[bytes, bytes]) -> Buffer:
        """Return the whole body, decompressed.

        Raises:
            ClientLeft: The client did not wait for an answer.
            Malformed: It is no body of its encoding.
            UnknownMedia: Its encoding is not taken.
            TooLarge: It is larger than the limit, as sent or after decompression.
            Overloaded: Other requests take the memory.

        Cancel-safe.
        """
        encoding = sent_encoding(headers.get(b"content-encoding", b"").decode("latin-1"))
        self._check_length(headers.get(b"content-length"))
        body = await self._all(receive)
        if encoding == IDENTITY or not len(body):
            return body
        return await self._unpacked(Unpacking(body, encoding, self._room.most_bytes), len(body))

    async def _unpacked(self, reader: Unpacking, packed_bytes: int) -> bytes:
        """Return what a compressed body holds; zlib lets others work meanwhile.

        Small bodies may become large ones, so room is taken before each piece. A body that does not
        shrink much is one piece; each further one is twice as large.
        """
        parts: list[bytes] = []
        piece_bytes = min(max(_FIRST_PIECE_BYTES, 2 * packed_bytes), self._room.most_bytes + 1)
        while not reader.is_done:
            self._take(piece_bytes)
            part = await asyncio.to_thread(reader.more, piece_bytes)
            self._leave(piece_bytes - len(part))
            parts.append(part)
            if len(part) == piece_bytes:
                piece_bytes = min(2 * piece_bytes, self._room.most_bytes + 1)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _check_length(self, header: bytes | None) -> None:
        if header is None:
            return
        if not header.isdigit() or len(header) > 18:
            raise Malformed("content-length needs a number of bytes")
        if int(header) > self._room.most_bytes:
            raise TooLarge(f"a body of {int(header)} bytes: at most {self._room.most_bytes} are taken")

    async def _all(self, receive: Receive) -> Buffer:
        parts: list[bytes] = []
        length = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            part = message.get("body", b"")
            length += len(part)
            if length > self._room.most_bytes:
                raise TooLarge(f"the body is larger than {self._room.most_bytes} bytes")
            if part:
                self._take(len(part))
                parts.append(part)
            if not message.get("more_body", False):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    def _take(self, count: int) -> None:
        self._room.take(count)
        self._taken += count

    def _leave(self, count: int) -> None:
        self._room.give_back(count)
        self._taken -= count
