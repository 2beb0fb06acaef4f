"""Health is for everybody, the other pages are for who may read."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from gateway.configuration.secret import Secret
from gateway.configuration.serving_settings import AccessSettings, ServingSettings, TokenSettings
from gateway.operations.exposition import Exposition
from gateway.operations.health import Health
from gateway.operations.metrics import Metrics
from gateway.serving.access.opening import gate_of
from gateway.serving.app import Sources, StatusDoor
from gateway.serving.asgi import Message
from gateway.serving.gated_status import GatedStatus

TOKEN = "0123456789abcdef"
LOOPBACK = ("127.0.0.1", 4711)
OUTSIDE = ("192.0.2.7", 4711)
Headers = list[tuple[bytes, bytes]]


def get(
    client: tuple[str, int], path: str, *headers: tuple[bytes, bytes], method: str = "GET"
) -> tuple[int, Headers, bytes]:
    """Ask a status door that others reach, where there is one token."""
    sent: list[Message] = []
    metrics = Metrics()

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    access = AccessSettings(tokens=(TokenSettings("eyes", Secret(TOKEN), ("read",)),))
    gate = gate_of(ServingSettings(access=access), ["0.0.0.0:8080"], metrics)
    pages = StatusDoor(Sources(lambda: Health(30.0).judge(1.0), Exposition(metrics).render, dict))
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": path,
        "client": client,
        "headers": list(headers),
    }
    asyncio.run(GatedStatus(pages, gate)(scope, receive, send))
    start, *parts = sent
    return start["status"], start["headers"], b"".join(part["body"] for part in parts)


@pytest.mark.parametrize("client", [LOOPBACK, OUTSIDE])
def test_probes_need_no_credentials(client: tuple[str, int]) -> None:
    assert get(client, "/healthz")[0] == 200
    assert get(client, "/readyz")[0] == 503


@pytest.mark.parametrize("path", ["/metrics", "/status", "/nothing"])
def test_another_machine_reads_with_a_token_alone(path: str) -> None:
    status, headers, body = get(OUTSIDE, path)
    assert status == 401
    assert (b"www-authenticate", b'Bearer realm="gateway"') in headers
    assert json.loads(body)["label"] == "access.unauthenticated"
    assert get(OUTSIDE, path, (b"authorization", b"Bearer wrong"))[0] == 401
    shown = (b"authorization", f"Bearer {TOKEN}".encode())
    assert get(OUTSIDE, path, shown)[0] == (404 if path == "/nothing" else 200)


def test_this_machine_reads_but_no_page_of_its_browser_does() -> None:
    assert get(LOOPBACK, "/metrics", (b"host", b"127.0.0.1:8080"))[0] == 200
    assert get(LOOPBACK, "/metrics", (b"host", b"evil.example"))[0] == 403
    status, headers, body = get(LOOPBACK, "/metrics", (b"host", b"evil.example"), method="HEAD")
    assert (status, body) == (403, b"")
    assert int(dict(headers)[b"content-length"]) > 0
