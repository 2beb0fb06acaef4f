"""Waits that end early, for the demo's processes."""

from __future__ import annotations

import asyncio


async def happens(event: asyncio.Event, limit_s: float) -> bool:
    """Return whether ``event`` is set within ``limit_s``; others get a turn even if that is 0.

    Cancel-safe: nothing is held.
    """
    if limit_s <= 0:
        await asyncio.sleep(0)
        return event.is_set()
    try:
        await asyncio.wait_for(event.wait(), limit_s)
    except asyncio.TimeoutError:
        return False
    return True
