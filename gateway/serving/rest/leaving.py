"""Ends work that nobody waits for any more: when the client leaves, what it asked for is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from gateway.serving.asgi import LEAVING, Receive, Scope
from gateway.serving.rest.bodies import ClientLeft

_T = TypeVar("_T")


class Leaving(Protocol):
    """Knows whether the client of one request is there."""

    def tell(self, left: Callable[[], object] | None) -> None:
        """Call back once the client has left, at once if it has; None for nobody any more."""
        ...


async def while_there(scope: Scope, receive: Receive, work: Coroutine[Any, Any, _T]) -> _T:
    """Return what ``work`` gives, if the client waits for it.

    The work is done in the caller's own task, which is cancelled once the client leaves: a task for the
    work beside the one that watches would cost small requests a tenth of their time, and so does the
    one that watches, which our own server makes needless.

    Args:
        scope: Of the request; a server may say under ``LEAVING`` whom to ask to be told.
        receive: ASGI's, after the whole body came: it gives nothing more until the client leaves.
        work: What is done for it.

    Raises:
        ClientLeft: It left; the work was cancelled and has ended.

    Cancel-safe: the work is cancelled too.
    """
    task = asyncio.current_task()
    assert task is not None, "not called from a task"
    has_left = False

    def left() -> None:
        nonlocal has_left
        has_left = task.cancel()

    leaving: Leaving = (scope.get("extensions") or {}).get(LEAVING) or _Receiving(receive)
    leaving.tell(left)
    try:
        return await work
    except asyncio.CancelledError:
        if not has_left:
            raise
        # From 3.11 on a task counts its cancellations; this one is answered.
        getattr(task, "uncancel", int)()
        raise ClientLeft from None
    finally:
        leaving.tell(None)


class _Receiving:
    """Hears of the client's leaving from any ASGI server, by a task that receives."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._watching: asyncio.Task[None] | None = None

    def tell(self, left: Callable[[], object] | None) -> None:
        if self._watching is not None:
            self._watching.cancel()
        self._watching = None if left is None else asyncio.ensure_future(self._watch(left))

    async def _watch(self, left: Callable[[], object]) -> None:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            left()
