"""Both applications of one HTTP port: the protocol for models, and the status pages."""

from __future__ import annotations

from gateway.serving.asgi import Application, Receive, Scope, Send


class Doors:
    """One ASGI application: what begins with ``/v2``, and ``/openapi.json``, is REST; the rest is status."""

    def __init__(self, status: Application, rest: Application) -> None:
        """Prepare.

        Args:
            status: Answers health, metrics and status.
            rest: Answers the protocol.
        """
        self._status = status
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand one request on.

        Raises:
            ValueError: The scope is not of HTTP.
        """
        path = scope["path"] if scope["type"] == "http" else ""
        is_rest = path == "/v2" or path.startswith("/v2/") or path.rstrip("/") == "/openapi.json"
        await (self._rest if is_rest else self._status)(scope, receive, send)
