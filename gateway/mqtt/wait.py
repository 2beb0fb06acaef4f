"""Wait with a deadline and never lose a cancellation.

``asyncio.wait_for`` before Python 3.12 swallows a cancellation that arrives
together with the result: a task that is told to end would then go on.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any


async def done_by(future: asyncio.Future[Any], deadline_s: float) -> bool:
    """Wait until a future is done or ``deadline_s`` (monotonic) has passed; tell whether it is done.

    Cancel-safe: the future is left as it is.
    """
    if not future.done():
        await asyncio.wait({future}, timeout=max(0.0, deadline_s - time.monotonic()))
    return future.done()


async def set_by(event: asyncio.Event, deadline_s: float) -> bool:
    """Wait until an event is set or ``deadline_s`` (monotonic) has passed; tell whether it is set.

    Others get a turn even if no time is left. Cancel-safe.
    """
    waiting = asyncio.ensure_future(event.wait())
    try:
        await done_by(waiting, deadline_s)
        return event.is_set()
    finally:
        waiting.cancel()


class Bell:
    """Wakes everybody who waits at the moment it rings."""

    def __init__(self) -> None:
        self._next: asyncio.Future[None] | None = None

    def ring(self) -> None:
        """Wake those who wait now."""
        ringing, self._next = self._next, None
        if ringing is not None:
            ringing.set_result(None)

    async def heard_by(self, deadline_s: float) -> bool:
        """Wait for the next ring; tell whether it came before ``deadline_s`` (monotonic).

        Cancel-safe: others who wait are not disturbed.
        """
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        return await done_by(self._next, deadline_s)
