"""One connection's transport: writes, waits until the client takes, holds the client back, ends.

Shared by every version of HTTP; knows none.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, Final, Protocol
from weakref import WeakSet

from gateway.serving.http.alarm import Alarm

_DISCARD_BYTES: Final = 16 * 1024 * 1024


class Hold(Enum):
    """Why nothing is read from a client for now."""

    BODY = auto()  # the application has not taken what came
    AHEAD = auto()  # the client asks further while its request is answered
    REPLIES = auto()  # it does not take what it is sent


class Speaker(Protocol):
    """What speaks a version of HTTP on a wire."""

    def received(self, data: bytes) -> None:
        """Take bytes."""
        ...

    def ended(self) -> bool:
        """Take the end of the client's bytes; return whether something is still to be sent."""
        ...

    def emptied(self) -> None:
        """The client took most of what it was sent."""
        ...

    def lost(self) -> None:
        """The connection is gone: stop all that runs for it."""
        ...

    def rang(self) -> None:
        """The time that was set has passed."""
        ...

    def retire(self) -> None:
        """End as soon as nobody loses by it."""
        ...

    def tasks(self) -> list[asyncio.Task[None]]:
        """Return what runs for the client."""
        ...


class Wire:
    """A transport with the little state that both versions of HTTP need.

    Args:
        loop: The event loop.
        transport: Of the connection; owned.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport) -> None:
        self.loop = loop
        self.alarm = Alarm(loop, self._rang)
        self.speaker: Speaker | None = None
        self._transport: asyncio.Transport | None = transport
        self._holds: set[Hold] = set()
        self._waiters: list[asyncio.Future[None]] = []
        self._discarded = 0
        self._written_bytes = 0
        self._has_ended = False
        self._later: WeakSet[asyncio.TimerHandle] = WeakSet()
        self.is_full = False
        self.is_over = False

    @property
    def is_lost(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._transport is None

    @property
    def sock(self) -> socket.socket | None:
        """The socket, to be looked at; None where it is gone, or both ways end together, as with TLS."""
        if self._transport is None or not self._transport.can_write_eof():
            return None
        sock: socket.socket | None = self._transport.get_extra_info("socket")
        return sock

    def write(self, data: bytes) -> None:
        """Send bytes, or queue them; nothing more where the client has cut the connection."""
        transport = self._transport
        if transport is not None and not self.is_over and not transport.is_closing():
            self._written_bytes += len(data)
            transport.write(data)

    @property
    def taken_bytes(self) -> int:
        """How much of what was sent has left for the client so far."""
        queued = 0 if self._transport is None else self._transport.get_write_buffer_size()
        return self._written_bytes - queued

    async def drained(self) -> None:
        """Wait until the client has taken most of what was sent, or is gone. Cancel-safe."""
        if self.is_full and self._transport is not None:
            waiter = self.loop.create_future()
            self._waiters.append(waiter)
            await waiter

    def later(self, delay_s: float, call: Callable[..., object], *arguments: Any) -> None:
        """Call back after a time, unless the connection is gone by then: nothing outlives it."""
        self._later.add(self.loop.call_later(delay_s, call, *arguments))

    def hold(self, why: Hold) -> None:
        """Read nothing from the client until this reason is gone."""
        if not self._holds and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
        self._holds.add(why)

    def release(self, why: Hold) -> None:
        """Take a reason away."""
        if not self._holds or why not in self._holds:
            return
        self._holds.discard(why)
        if not self._holds and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def holds(self, why: Hold) -> bool:
        """Return whether the client is held back for a reason."""
        return why in self._holds

    def close(self, within_s: float) -> None:
        """Send what is queued and end; cut off a client that does not take it in time."""
        if self._transport is None:
            return
        self.is_over = True
        self._transport.close()
        self.alarm.within(within_s)

    def linger(self, within_s: float) -> None:
        """Send what is queued, then read past what the client still sends, so that it reads the answer."""
        if self._transport is None or self.is_over:
            return
        if self._has_ended or not self._transport.can_write_eof():
            self.close(within_s)
            return
        self.is_over = True
        for why in tuple(self._holds):
            self.release(why)
        self._transport.write_eof()
        self.alarm.within(within_s)

    def abort(self) -> None:
        """End now."""
        if self._transport is not None:
            self._transport.abort()

    # What the connection says.

    def received(self, data: bytes) -> None:
        """Hand bytes to the speaker, unless all is said."""
        if not self.is_over and self.speaker is not None:
            self.speaker.received(data)
            return
        self._discarded += len(data)
        if self._discarded > _DISCARD_BYTES:
            self.abort()

    def ended(self) -> bool:
        """The client sends no more; return whether the transport must stay open."""
        self._has_ended = True
        return not self.is_over and self.speaker is not None and self.speaker.ended()

    def filled(self) -> None:
        """The client does not take what it is sent."""
        self.is_full = True

    def emptied(self) -> None:
        """The client has taken most of it."""
        self.is_full = False
        self._wake()
        if self.speaker is not None:
            self.speaker.emptied()

    def lost(self) -> None:
        """The transport is gone."""
        if self._transport is not None:
            # Python 3.10 takes an encrypted one for forgotten if nobody closes it, although it has ended.
            self._transport.close()
        self._transport = None
        self.is_over = True
        self.alarm.drop()
        for handle in tuple(self._later):
            handle.cancel()
        self._wake()
        if self.speaker is not None:
            self.speaker.lost()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _rang(self) -> None:
        if self.is_over or self.speaker is None:
            self.abort()
        else:
            self.speaker.rang()
