"""The listener against real sockets: it answers, idles, survives anything, and ends cleanly."""

from __future__ import annotations

import asyncio
import http.client
import selectors
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.serving.asgi import Application, Receive, Scope, Send
from gateway.serving.connection import HttpLimits
from gateway.serving.listener import Listener


async def echo(scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer with method and path."""
    body = f"{scope['method']} {scope['path']}".encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def serve(
    work: Callable[[Listener], Awaitable[None]], app: Application = echo, limits: HttpLimits | None = None
) -> None:
    """Run ``work`` beside a listener, and check that nothing of it is left."""

    async def run() -> None:
        async with Listener(app, "127.0.0.1:0", limits) as listener:
            await asyncio.wait_for(work(listener), 30.0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    before = open_files()
    asyncio.run(run())
    assert open_files() <= before  # threads that gRPC left may close theirs meanwhile, and open none


def open_files() -> int:
    """Count this process's file descriptors."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def talk(listener: Listener, sent: bytes) -> bytes:
    """Send bytes, end, and return all that comes back."""
    host, port = listener.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(sent)
        writer.write_eof()
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


def get(address: str, *paths: str) -> list[tuple[int, bytes]]:
    """Ask for several pages over one connection, with the standard library's client."""
    client = http.client.HTTPConnection(address, timeout=30)
    answers = []
    for path in paths:
        client.request("GET", path)
        response = client.getresponse()
        answers.append((response.status, response.read()))
    client.close()
    return answers


def test_one_connection_serves_many_requests() -> None:
    async def work(listener: Listener) -> None:
        answers = await asyncio.to_thread(get, listener.address, "/a", "/b%20c?d=e")
        assert answers == [(200, b"GET /a"), (200, b"GET /b c")]

    serve(work)


def test_pipelined_requests_are_answered_in_order() -> None:
    async def work(listener: Listener) -> None:
        answer = await talk(listener, b"".join(b"GET /%d HTTP/1.1\r\nhost: x\r\n\r\n" % n for n in range(5)))
        assert [answer.find(b"GET /%d" % n) for n in range(5)] == sorted(
            answer.find(b"GET /%d" % n) for n in range(5)
        )
        assert answer.count(b"HTTP/1.1 200") == 5

    serve(work)


def test_head_gets_headers_alone() -> None:
    async def work(listener: Listener) -> None:
        answer = await talk(listener, b"HEAD /x HTTP/1.1\r\nhost: x\r\n\r\n")
        head, body = answer.split(b"\r\n\r\n")
        assert b"content-length: 7" in head.lower()
        assert body == b""

    serve(work)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nhost: x\r\ncookie: " + b"c" * 20_000, b"431"),
        (b"GET / HTTP/1.0\r\n\r\n", b"200"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello", b"200"),
    ],
)
def test_requests_of_every_kind_get_the_fitting_status(sent: bytes, status: bytes) -> None:
    async def work(listener: Listener) -> None:
        assert (await talk(listener, sent)).startswith(b"HTTP/1.1 " + status)

    serve(work)


@given(
    sent=st.binary(max_size=300)
    | st.builds(
        lambda parts, end: b"".join(parts) + end,
        st.lists(
            st.sampled_from(
                (
                    b"GET / HTTP/1.1\r\n",
                    b"POST /x HTTP/1.1\r\n",
                    b"host: x\r\n",
                    b"transfer-encoding: chunked\r\n",
                    b"content-length: 3\r\n",
                    b"expect: 100-continue\r\n",
                    b"\r\n",
                    b"3\r\nabc\r\n",
                    b"0\r\n\r\n",
                    b"\x00",
                )
            ),
            max_size=12,
        ),
        st.binary(max_size=5),
    )
)
@example(b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n")
@settings(max_examples=40)
def test_any_bytes_get_an_answer_or_an_end_and_the_next_client_is_served(sent: bytes) -> None:
    async def work(listener: Listener) -> None:
        answer = await talk(listener, sent)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 ")
        assert (await talk(listener, b"GET /ok HTTP/1.1\r\nhost: x\r\n\r\n")).endswith(b"GET /ok")

    serve(work)


def test_more_clients_than_allowed_are_told_to_come_back() -> None:
    async def work(listener: Listener) -> None:
        host, port = listener.address.split(":")
        first = await asyncio.open_connection(host, int(port))
        first[1].write(b"GET /1 HTTP/1.1\r\nhost: x\r\n\r\n")
        await first[0].readuntil(b"GET /1")
        assert (await talk(listener, b"")).startswith(b"HTTP/1.1 503")
        first[1].close()
        await first[1].wait_closed()

    serve(work, limits=HttpLimits(connections=1))


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nhost: x\r\n"])
def test_a_client_that_does_not_finish_its_request_is_cut_off(sent: bytes) -> None:
    async def work(listener: Listener) -> None:
        host, port = listener.address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(sent)
        (answer,) = await asyncio.gather(reader.read(), return_exceptions=True)
        assert answer == b"" or isinstance(answer, ConnectionError)
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)

    serve(work, limits=HttpLimits(head_s=0.05))


def test_a_client_that_does_not_read_its_response_is_cut_off_and_the_application_ended() -> None:
    ended = asyncio.Event()

    async def flood(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
        finally:
            ended.set()

    async def work(listener: Listener) -> None:
        host, port = listener.address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await ended.wait()
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)
        assert reader is not None

    serve(work, flood, HttpLimits(response_s=0.1))


def test_a_broken_application_ends_its_connection_alone(capfd: pytest.CaptureFixture[str]) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/broken":
            raise RuntimeError("boom")
        await echo(scope, receive, send)

    async def work(listener: Listener) -> None:
        assert await talk(listener, b"GET /broken HTTP/1.1\r\nhost: x\r\n\r\n") == b""
        assert (await talk(listener, b"GET /ok HTTP/1.1\r\nhost: x\r\n\r\n")).endswith(b"GET /ok")

    serve(work, broken)
    assert "http_failed" in capfd.readouterr().err


def test_a_response_under_way_is_finished_when_the_listener_closes() -> None:
    asked = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        asked.set()
        for _ in range(50):
            await asyncio.sleep(0)
        await echo(scope, receive, send)

    async def run() -> None:
        async with Listener(slow, "127.0.0.1:0") as listener:
            client = asyncio.create_task(talk(listener, b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n"))
            await asked.wait()
        answer = await client
        assert b"connection: close" in answer.lower()
        assert answer.endswith(b"GET /slow")

    asyncio.run(run())


def test_who_had_connected_before_the_listener_closed_gets_an_answer_although_it_asks_later() -> None:
    async def late(listener: Listener, ends: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> bytes:
        for _ in range(50):
            await asyncio.sleep(0)
        assert listener.closing
        ends[1].write(b"GET /late HTTP/1.1\r\nhost: x\r\n\r\n")
        answer = await ends[0].read()
        ends[1].close()
        return answer

    async def run() -> None:
        async with Listener(echo, "127.0.0.1:0", HttpLimits(grace_s=30)) as listener:
            host, port = listener.address.split(":")
            clients = [await asyncio.open_connection(host, int(port)) for _ in range(3)]
            for _ in range(50):
                await asyncio.sleep(0)
            assert len(listener._connections) == len(clients)
            asking = [asyncio.ensure_future(late(listener, ends)) for ends in clients]
        for answer in await asyncio.gather(*asking):
            assert answer.endswith(b"GET /late")
            assert b"connection: close" in answer.lower()

    asyncio.run(run())


def test_a_client_that_was_answered_and_idles_does_not_delay_the_end() -> None:
    async def run() -> None:
        async with Listener(echo, "127.0.0.1:0", HttpLimits(grace_s=3600)) as listener:
            host, port = listener.address.split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET /one HTTP/1.1\r\nhost: x\r\n\r\n")
            assert (await reader.readuntil(b"GET /one")).startswith(b"HTTP/1.1 200")
        assert await reader.read() == b""
        writer.close()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_a_response_that_never_ends_is_cut_off_when_the_listener_closes() -> None:
    asked = asyncio.Event()
    cancelled: list[bool] = []

    async def stuck(_scope: Scope, _receive: Receive, _send: Send) -> None:
        asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def run() -> None:
        async with Listener(stuck, "127.0.0.1:0", HttpLimits(grace_s=0.01)) as listener:
            client = asyncio.create_task(talk(listener, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"))
            await asked.wait()
        assert cancelled == [True]
        assert await client == b""

    asyncio.run(run())


def test_a_socket_that_was_handed_over_is_served() -> None:
    async def run() -> None:
        sock = socket.create_server(("127.0.0.1", 0))
        address = "{}:{}".format(*sock.getsockname())
        async with Listener(echo, f"fd://{sock.detach()}") as listener:
            assert listener.address == address
            assert await asyncio.to_thread(get, address, "/fd") == [(200, b"GET /fd")]

    asyncio.run(run())


def test_an_address_in_use_is_an_os_error() -> None:
    async def run() -> None:
        async with Listener(echo, "127.0.0.1:0") as listener:
            with pytest.raises(OSError, match="in use"):
                await Listener(echo, listener.address).__aenter__()

    asyncio.run(run())


def test_idle_means_idle() -> None:
    """While a client is connected and says nothing, the loop sleeps for over a second at a time."""
    waits: list[float] = []

    class Watched(selectors.DefaultSelector):
        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            if timeout is not None and timeout > 0:
                waits.append(timeout)
            return super().select(timeout)

    async def run() -> None:
        async with Listener(echo, "127.0.0.1:0") as listener:
            assert await asyncio.to_thread(get, listener.address, "/1", "/2") == [
                (200, b"GET /1"),
                (200, b"GET /2"),
            ]

    loop = asyncio.SelectorEventLoop(Watched())
    try:
        loop.run_until_complete(run())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()
    assert waits
    assert min(waits) > 1.0


@pytest.mark.parametrize("turns", range(6))
def test_a_client_that_comes_in_any_turn_of_the_close_is_answered_or_left_to_the_next_process(
    turns: int,
) -> None:
    async def run(held: socket.socket) -> None:
        async with Listener(echo, f"fd://{socket.dup(held.fileno())}"):
            client.connect(held.getsockname())
            client.sendall(b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            for _ in range(turns):
                await asyncio.sleep(0)

    with socket.socket() as held, socket.socket() as client:
        held.bind(("127.0.0.1", 0))
        held.listen()
        asyncio.run(run(held))
        held.setblocking(False)
        try:
            held.accept()[0].close()
        except BlockingIOError:  # it was taken, so it must have been answered
            client.settimeout(10)
            assert client.recv(1000).startswith(b"HTTP/1.1 200")
