"""Ends work that nobody waits for any more: when the client leaves, what it asked for is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from gateway.serving.asgi import Receive
from gateway.serving.rest.bodies import ClientLeft

_T = TypeVar("_T")


async def while_there(receive: Receive, work: Coroutine[Any, Any, _T]) -> _T:
    """Return what ``work`` gives, if the client waits for it.

    Args:
        receive: ASGI's, after the whole body came: it gives nothing more until the client leaves.
        work: What is done for it.

    Raises:
        ClientLeft: It left; the work was cancelled and has ended.

    Cancel-safe: the work is cancelled too.
    """
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_left(receive, working))
    try:
        return await working
    except asyncio.CancelledError:
        if watching.done() and not watching.cancelled() and watching.result():
            raise ClientLeft from None
        raise
    finally:
        watching.cancel()


async def _left(receive: Receive, working: asyncio.Future[Any]) -> bool:
    """Cancel the work once the client leaves; tell whether that was why it ended."""
    message = await receive()
    return message["type"] == "http.disconnect" and working.cancel()
