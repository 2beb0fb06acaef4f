"""Asking a gateway for its status, against the real status door and against things that are none."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.client import fetch_status, status_url
from gateway.errors import GatewayError, Malformed, NotReady, RequestRefused
from gateway.operations.health import Verdict
from gateway.serving.app import Sources, StatusDoor
from gateway.serving.listener import Listener
from tests.ports import free_port

STATUS: Mapping[str, object] = {
    "gateway": {"id": "g", "version": "1", "uptime_s": 1.0, "state": "ready"},
    "sensors": [],
    "models": [],
    "pipelines": [],
    "drops": {},
}


def with_door(status: Mapping[str, object], work: Callable[[str], Any], listen: str = "127.0.0.1:0") -> Any:
    """Run ``work(address)`` in a thread beside the real status door."""

    def verdict() -> Verdict:
        raise AssertionError("nobody asked for readiness")

    async def run() -> Any:
        sources = Sources(verdict, lambda _: (b"", ""), lambda: status)
        async with Listener(StatusDoor(sources), listen) as listener:
            return await asyncio.to_thread(work, listener.address)

    return asyncio.run(run())


@contextlib.contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """Give the URL of a server that says ``answer`` to whoever connects, and closes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                client, _ = server.accept()
                with client:
                    client.settimeout(5)
                    client.recv(65_536)
                    client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_the_status_of_a_running_gateway_is_fetched() -> None:
    assert with_door(STATUS, lambda address: fetch_status(f"http://{address}")) == STATUS


def test_a_gateway_that_listens_at_a_path_is_asked_there(tmp_path: Path) -> None:
    url = status_url(f"unix:{tmp_path}/door")
    assert with_door(STATUS, lambda _: fetch_status(url), url) == STATUS
    with pytest.raises(NotReady, match="no gateway answers at unix:/"):
        fetch_status(url)


def test_a_path_that_is_not_the_status_is_not_ready() -> None:
    with pytest.raises(NotReady, match="answers 404"):
        with_door(STATUS, lambda address: fetch_status(f"http://{address}/other"))


def test_nobody_there_is_not_ready() -> None:
    with pytest.raises(NotReady, match="is it running"):
        fetch_status(f"http://127.0.0.1:{free_port()}")


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8080", "https://a", "http://", "http://a:b", "http://[::1", "unix:x"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(RequestRefused):
        fetch_status(url)


@pytest.mark.parametrize(
    "body", [b"hello", b"[]", b"{}", b'{"sensors": 3}', b"[" * 100_000, b'"\xff"', b"{" * 5000]
)
def test_an_answer_that_is_no_status_is_malformed(body: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    with answering(head + body) as url, pytest.raises(Malformed):
        fetch_status(url)


@given(st.one_of(st.binary(max_size=80), st.binary(max_size=60).map(lambda rest: b"HTTP/1.1 200 " + rest)))
def test_any_answer_is_a_status_or_one_typed_error(answer: bytes) -> None:
    with answering(answer) as url, pytest.raises(GatewayError):
        fetch_status(url)


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080/status"),
        ("0.0.0.0:80", "http://127.0.0.1:80/status"),
        (":80", "http://127.0.0.1:80/status"),
        ("[::]:80", "http://[::1]:80/status"),
        ("board.local:80", "http://board.local:80/status"),
    ],
)
def test_where_a_gateway_listens_tells_where_it_is_asked(listen: str, url: str) -> None:
    assert status_url(listen) == url


@pytest.mark.parametrize("listen", ["fd://3", "8080"])
def test_where_nobody_can_connect_needs_a_url(listen: str) -> None:
    with pytest.raises(RequestRefused):
        status_url(listen)
