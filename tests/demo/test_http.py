"""Asking the gateway's HTTP port."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo import http
from gateway.demo.http import fetch, parse
from gateway.errors import Malformed, Unavailable
from tests.ports import free_port


def test_an_answer_is_split_into_code_and_body() -> None:
    assert parse(b"HTTP/1.1 503 Service Unavailable\r\nA: b\r\n\r\nnot yet\r\n\r\n") == (
        503,
        b"not yet\r\n\r\n",
    )


@given(st.binary(max_size=80))
def test_any_bytes_are_an_answer_or_malformed(data: bytes) -> None:
    try:
        code, body = parse(data)
    except Malformed:
        return
    assert 0 <= code <= 9999
    assert data.endswith(body)


def _ask(answer: bytes) -> tuple[int, bytes]:
    """Serve one answer and fetch it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    async def ask() -> tuple[int, bytes]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            return await fetch("127.0.0.1", server.sockets[0].getsockname()[1], "/status")

    return asyncio.run(ask())


def test_a_page_is_fetched_whole() -> None:
    body = b"x" * 200_000
    assert _ask(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body) == (200, body)


def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_BYTES", 1000)
    with pytest.raises(Malformed):
        _ask(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000)


def test_nobody_listening_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        asyncio.run(fetch("127.0.0.1", free_port(), "/readyz"))
