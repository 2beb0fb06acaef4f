"""The status pages behind the same gate as the models: what tells of the gateway is for who may read."""

from __future__ import annotations

from typing import Final

from gateway.errors import GatewayError
from gateway.serving.access.caller import ANYBODY, READ
from gateway.serving.access.gate import Gate
from gateway.serving.access.http_peer import http_peer
from gateway.serving.asgi import Application, Receive, Scope, Send
from gateway.serving.rest.answering import answer
from gateway.serving.rest.app import error_reply

# Probes carry no credentials, and say nothing but yes or no.
_PROBES: Final = frozenset({"/healthz", "/readyz"})


class GatedStatus:
    """Lets requests for status pages in, or answers why not."""

    def __init__(self, status: Application, gate: Gate) -> None:
        """Prepare.

        Args:
            status: Answers health, metrics and status.
            gate: Lets requests in.
        """
        self._status = status
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        need = ANYBODY if scope["path"] in _PROBES else READ
        try:
            admission = self._gate.admit(http_peer(scope), need, "status", scope["path"])
        except GatewayError as error:
            headers = {name.lower(): value for name, value in scope["headers"]}
            await answer(error_reply(error), scope["method"], headers, send)
            return
        with admission:
            await self._status(scope, receive, send)
