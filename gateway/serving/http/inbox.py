"""The body of one request on its way to the application, and the word that its client is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.serving.asgi import Message


def _nobody(_bytes: int) -> None:
    """Stand in for who is told."""


class Inbox:
    """Holds what has arrived until the application takes it.

    Args:
        loop: The event loop.
        taken: Is told how many bytes the application has taken.

    Attributes:
        watched: Is told when the application begins to wait for word that its client is gone.
    """

    __slots__ = (
        "_is_gone",
        "_left",
        "_loop",
        "_pieces",
        "_taken",
        "_waiter",
        "held_bytes",
        "is_whole",
        "last_told",
        "watched",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, taken: Callable[[int], None]) -> None:
        self._loop = loop
        self._taken = taken
        self._pieces: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._left: Callable[[], object] | None = None
        self.watched: Callable[[], None] | None = None
        self._is_gone = False
        self.held_bytes = 0
        self.is_whole = False
        self.last_told = False

    def put(self, piece: bytes) -> None:
        """Take a piece of the body in."""
        self._pieces.append(piece)
        self.held_bytes += len(piece)
        self._wake()

    def end(self) -> None:
        """The body is whole."""
        self.is_whole = True
        self._wake()

    def forget(self) -> None:
        """Let go of what nobody takes any more, and of whoever would be told."""
        self._pieces.clear()
        self._taken = _nobody
        self._left = None
        self.watched = None

    def leave(self) -> None:
        """The client is gone, or its request is answered."""
        self._is_gone = True
        self._wake()
        if self._left is not None:
            left, self._left = self._left, None
            left()

    def tell(self, left: Callable[[], object] | None) -> None:
        """Call back once the client is gone, at once if it is; None for nobody any more."""
        self._left = left
        if left is None:
            return
        if self._is_gone:
            self._left = None
            left()
        elif self.watched is not None:
            self.watched()

    @property
    def is_gone(self) -> bool:
        """Whether the application may have heard that its client is gone; it need not answer then."""
        return self._is_gone

    @property
    def is_watched(self) -> bool:
        """Whether the application has the whole body, and waits for word that its client is gone."""
        return self.last_told and (self._waiter is not None or self._left is not None)

    @property
    def is_waited_for(self) -> bool:
        """Whether the application wants a body of which nothing has arrived."""
        return not self._pieces and not self.is_whole and not self._is_gone

    async def receive(self) -> Message:
        """Return ASGI's next message. Cancel-safe: nothing is lost.

        What has arrived goes first; then ``http.disconnect``, once the client is gone.
        """
        while not self._pieces and not (self.is_whole and not self.last_told) and not self._is_gone:
            self._waiter = self._loop.create_future()
            if self.watched is not None and self.last_told:
                self.watched()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._pieces or (self.is_whole and not self.last_told):
            return self._next()
        return {"type": "http.disconnect"}

    def _next(self) -> Message:
        pieces, self._pieces = self._pieces, []
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self.held_bytes = 0
        self.last_told = self.is_whole
        if body:
            self._taken(len(body))
        return {"type": "http.request", "body": body, "more_body": not self.last_told}

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
