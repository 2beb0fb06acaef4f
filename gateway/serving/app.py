"""The status door: /healthz, /readyz, /metrics and /status as one small ASGI application.

It only reads: every page is made from a callable that the daemon supplies, so it
knows neither models nor sensors. A page that raises is logged, answers 500, and
changes nothing else. Those that grow with the gateway are made once for all who
wait for them: whoever may read must not take the time of those who infer.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.errors import GatewayBug
from gateway.operations.health import Verdict
from gateway.operations.log import log
from gateway.serving.asgi import Receive, Scope, Send
from gateway.serving.costly_pages import CostlyPages

_TEXT: Final = "text/plain; charset=utf-8"
_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the pages come from.

    Attributes:
        verdict: Judges whether the gateway is ready, now.
        metrics: Renders the metrics for an Accept header: body and content type.
        status: Describes the gateway, as values that JSON can say.
        metrics_format: Names the format in which an Accept header gets the metrics, one of a few.
    """

    verdict: Callable[[], Verdict]
    metrics: Callable[[str], tuple[bytes, str]]
    status: Callable[[], Mapping[str, object]]
    metrics_format: Callable[[str], str] = str


@dataclass(frozen=True, slots=True)
class Answer:
    """One response: status, content type (empty where there is no body at all), body, and further headers."""

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


class StatusDoor:
    """The application; an instance is called once per request."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._costly = CostlyPages[Answer]()
        self._pages: Mapping[str, Callable[[str], Awaitable[Answer]]] = {
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": self._metrics,
            "/status": self._status,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Answer one request.

        Raises:
            ValueError: The scope is not of HTTP: there is nothing else here.
        """
        if scope["type"] != "http":
            raise ValueError(f"the status door does not speak {scope['type']}")
        answer = await self._answer(scope["method"], scope["path"], _accept(scope))
        headers = [
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
            *answer.headers,
        ]
        if answer.content_type:
            headers.append((b"content-type", answer.content_type.encode()))
            headers.append((b"content-length", str(len(answer.body)).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else answer.body
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, method: str, path: str, accept: str) -> Answer:
        page = self._pages.get(path)
        if method == "OPTIONS" and (page is not None or path == "*"):
            return Answer(204, "", b"", ((b"allow", b"GET, HEAD, OPTIONS"),))
        if page is None:
            unknown = {"error": "no such page", "label": "refused.unknown_path", "pages": list(self._pages)}
            return _json(404, unknown)
        if method not in {"GET", "HEAD"}:
            refused = _json(405, {"error": "only GET and HEAD", "label": "refused.method"})
            return dataclasses.replace(refused, headers=((b"allow", b"GET, HEAD, OPTIONS"),))
        try:
            return await page(accept)
        except Exception as error:  # noqa: BLE001 - one broken page must not end the connection or the gateway
            log.event("http_failed", path=path, error=error)
            return _json(500, {"error": "this page failed; the log says why", "label": GatewayBug.label})

    async def _healthz(self, _accept: str) -> Answer:
        # Being able to answer is all that it says: the event loop turns.
        return Answer(200, _TEXT, b"ok\n")

    async def _readyz(self, _accept: str) -> Answer:
        verdict = self._sources.verdict()
        return _json(200 if verdict.ready else 503, dataclasses.asdict(verdict))

    async def _metrics(self, accept: str) -> Answer:
        def make() -> Answer:
            body, content_type = self._sources.metrics(accept)
            return Answer(200, content_type, body)

        return await self._costly.get(f"metrics {self._sources.metrics_format(accept)}", make)

    async def _status(self, _accept: str) -> Answer:
        return await self._costly.get("status", lambda: _json(200, self._sources.status()))


def _json(status: int, value: Mapping[str, object]) -> Answer:
    text = json.dumps(value, indent=1, allow_nan=False)
    return Answer(status, _JSON, f"{text}\n".encode())


def _accept(scope: Scope) -> str:
    values = [value for name, value in scope["headers"] if name == b"accept"]
    return b", ".join(values).decode("latin-1")
