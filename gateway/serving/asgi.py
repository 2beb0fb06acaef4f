"""The seam between HTTP applications and the listener that serves them: ASGI's names as types.

Applications written against it can later be served by any ASGI server.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

LEAVING: Final = "gateway.leaving"
"""Our own extension of a scope: calls back once the client has left, for less than a task that receives."""
