"""Asks who may read the status pages where other machines may come; health is for everybody's probes."""

from __future__ import annotations

import json
from typing import Final

from gateway.errors import GatewayError
from gateway.serving.access.caller import READ
from gateway.serving.access.gate import Gate
from gateway.serving.access.http_peer import http_peer
from gateway.serving.asgi import Application, Receive, Scope, Send
from gateway.serving.error_words import error_words
from gateway.serving.rest.error_codes import error_headers, status_of

FOR_EVERYBODY: Final = frozenset({"/healthz", "/readyz"})


class Guarded:
    """An ASGI application in front of the status door: all but health needs the scope ``read``."""

    def __init__(self, pages: Application, gate: Gate) -> None:
        """Prepare.

        Args:
            pages: What is guarded.
            gate: Lets requests in.
        """
        self._pages = pages
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or say why not."""
        if scope["type"] != "http" or scope["path"] in FOR_EVERYBODY:
            await self._pages(scope, receive, send)
            return
        try:
            admission = self._gate.admit(http_peer(scope), READ, "page", scope["path"])
        except GatewayError as error:
            await _refuse(error, scope["method"], send)
            return
        with admission:
            await self._pages(scope, receive, send)


async def _refuse(error: GatewayError, method: str, send: Send) -> None:
    body = f"{json.dumps(error_words(error), allow_nan=False)}\n".encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *error_headers(error),
    ]
    await send({"type": "http.response.start", "status": status_of(error), "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})
