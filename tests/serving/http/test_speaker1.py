"""HTTP/1.1 against real sockets: bodies both ways, back-pressure, clients that leave, refusals."""

from __future__ import annotations

import asyncio
import hashlib
import json
import tracemalloc

import pytest

from gateway.serving.asgi import Receive, Scope, Send
from gateway.serving.http.limits import HttpLimits
from gateway.serving.listener import Listener
from tests.serving.http.test_request_reader import SMUGGLED
from tests.serving.http.world import (
    GET,
    Deaf,
    answer,
    client,
    echo,
    read_body,
    run,
    talk,
    until,
    without_collector,
)

POST = b"POST /%s HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"
MB = 1_000_000


def test_bodies_of_both_kinds_reach_the_application_and_the_connection_goes_on() -> None:
    async def work(listener: Listener) -> None:
        async with client(listener) as asking:
            for size in (0, 1, 65_536, 3 * MB):
                await asking.sends(POST % (b"a", size) + b"b" * size)
                assert await asking.response() == (200, b"POST /a %d 1.1" % size)
            await asking.sends(b"PUT /c HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
            await asking.sends((b"3e8\r\n" + b"d" * 1000 + b"\r\n") * 500 + b"0\r\nx: y\r\n\r\n")
            assert await asking.response() == (200, b"PUT /c 500000 1.1")

    run(work)


def test_requests_with_bodies_can_come_before_they_are_asked_for() -> None:
    async def work(listener: Listener) -> None:
        one = POST % (b"a", 40_000) + b"b" * 40_000
        chunked = b"POST /c HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        async with client(listener) as asking:
            await asking.sends((one + chunked + GET % b"g") * 30)
            for _ in range(30):
                assert await asking.response() == (200, b"POST /a 40000 1.1")
                assert await asking.response() == (200, b"POST /c 3 1.1")
                assert await asking.response() == (200, b"GET /g 0 1.1")

    run(work)


def test_a_client_that_asks_first_sends_its_body_when_it_is_wanted() -> None:
    async def work(listener: Listener) -> None:
        async with client(listener) as asking:
            head = b"POST /a HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n"
            await asking.sends(head)
            assert await asking.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            await asking.sends(b"abc")
            assert await asking.response() == (200, b"POST /a 3 1.1")
            await asking.sends(head + b"abc")
            assert await asking.response() == (200, b"POST /a 3 1.1")

    run(work)


def test_a_body_that_is_not_wanted_is_not_asked_for() -> None:
    async def refuse(_scope: Scope, _receive: Receive, send: Send) -> None:
        await answer(send, b"too large", 413)

    async def work(listener: Listener) -> None:
        async with client(listener) as asking:
            await asking.sends(
                b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 999999999\r\n\r\n"
            )
            answered = await asking.rest()
            assert answered.startswith(b"HTTP/1.1 413 ")
            assert b"connection: close" in answered

    run(work, refuse)


def test_an_early_answer_is_read_by_a_client_that_still_sends_and_nothing_is_kept() -> None:
    async def refuse(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await answer(send, b"too large", 413)

    async def work(listener: Listener) -> None:
        async with client(listener) as asking:
            await asking.sends(POST % (b"a", 8 * MB))
            for _ in range(80):
                await asking.sends(b"b" * (MB // 10))
            asking.writer.write_eof()
            assert (await asking.response()) == (413, b"too large")
            assert await asking.rest() == b""

    run(work, refuse)


def test_a_body_that_nobody_takes_is_not_read() -> None:
    go = asyncio.Event()
    sent = 0

    async def late(_scope: Scope, receive: Receive, send: Send) -> None:
        await go.wait()
        body, _ = await read_body(receive)
        await answer(send, str(len(body)).encode())

    async def work(listener: Listener) -> None:
        async def push() -> None:
            nonlocal sent
            await asking.sends(POST % (b"a", 64 * MB))
            piece = b"b" * 64_000
            while sent < 64 * MB:
                await asking.sends(piece)
                sent += len(piece)

        async with client(listener) as asking:
            pushing = asyncio.ensure_future(push())
            (connection,) = listener._connections
            await until(lambda: connection._wire is not None and bool(connection._wire._holds))
            before = -1
            while before != sent:  # what fits into the kernel's buffers goes on for a while
                before = sent
                for _ in range(200):
                    await asyncio.sleep(0)
            exchange = connection._wire.speaker._exchange  # type: ignore[union-attr]
            assert exchange.inbox.held_bytes < 1 * MB
            assert sent < 40 * MB
            go.set()
            await pushing
            assert await asking.response() == (200, b"64000000")

    run(work, late)


def test_an_application_hears_within_a_moment_that_its_client_is_gone() -> None:
    heard: list[str] = []
    working = asyncio.Event()

    async def long(_scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        working.set()
        message = await receive()
        heard.append(message["type"])
        await answer(send, b"late")

    async def work(listener: Listener) -> None:
        for sent in (GET % b"a", POST % (b"a", 3) + b"abc"):
            async with client(listener) as asking:
                await asking.sends(sent)
                await working.wait()
                working.clear()
            await until(lambda: not listener._connections)
        assert heard == ["http.disconnect", "http.disconnect"]

    run(work, long)


def test_an_application_that_works_on_is_ended_when_its_client_cut_the_connection() -> None:
    ended: list[bool] = []
    working = asyncio.Event()

    async def deaf(_scope: Scope, _receive: Receive, _send: Send) -> None:
        working.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def work(listener: Listener) -> None:
        async with client(listener) as asking:
            await asking.sends(GET % b"a")
            await working.wait()
            asking.writer.transport.abort()
        # Nothing was left unread, so the end looks like a client that only stopped to send: it is the
        # silence of the application that ends it.
        await until(lambda: bool(ended))

    run(work, deaf, HttpLimits(response_s=0.2))


def test_what_the_request_of_a_client_that_left_held_is_free_before_the_collector_looks() -> None:
    deaf = Deaf()

    async def work(listener: Listener) -> None:
        async with client(listener) as asking:
            await asking.sends(POST % (b"a", 9) + b"abc")
            await deaf.is_working.wait()
        await until(lambda: deaf.held[0]() is None)

    with without_collector():
        run(work, deaf)


def test_a_body_that_is_cut_short_ends_its_request() -> None:
    got: list[bool] = []

    async def note(_scope: Scope, receive: Receive, send: Send) -> None:
        try:
            _, is_whole = await read_body(receive)
        except asyncio.CancelledError:
            is_whole = False
            raise
        finally:
            got.append(is_whole)
        await answer(send, b"")

    async def work(listener: Listener) -> None:
        assert (await talk(listener, POST % (b"a", 10) + b"abc")).startswith(b"HTTP/1.1 400 ")

    run(work, note)
    assert got == [False]


@pytest.mark.parametrize("name", SMUGGLED)
def test_what_could_be_smuggled_is_refused_in_json_and_closed(name: str) -> None:
    async def work(listener: Listener) -> None:
        async with client(listener) as asking:
            await asking.sends(SMUGGLED[name] + GET % b"smuggled")
            answered = await asking.rest()
        head, _, body = answered.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert b"content-type: application/json" in head
        assert b"connection: close" in head
        assert json.loads(body)["error"]
        assert b"smuggled" not in answered

    run(work, limits=HttpLimits(linger_s=0.05))


def test_a_body_that_comes_too_slowly_is_refused() -> None:
    async def work(listener: Listener) -> None:
        async with client(listener) as asking:
            await asking.sends(POST % (b"a", 1000) + b"b" * 10)
            assert (await asking.response())[0] == 408

    run(work, limits=HttpLimits(body_s=0.05, least_bytes_s=1000))


def test_a_response_without_a_length_comes_in_chunks_or_ends_the_connection() -> None:
    async def stream(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in (b"data: 1\n\n", b"", b"data: 2\n\n"):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body"})

    async def work(listener: Listener) -> None:
        chunks = b"9\r\ndata: 1\n\n\r\n9\r\ndata: 2\n\n\r\n0\r\n\r\n"
        head, _, body = (await talk(listener, GET % b"a")).partition(b"\r\n\r\n")
        assert b"transfer-encoding: chunked" in head
        assert body == chunks
        assert (await talk(listener, b"GET / HTTP/1.0\r\n\r\n")).endswith(b"\r\n\r\ndata: 1\n\ndata: 2\n\n")

    run(work, stream)


def test_an_event_is_sent_when_it_happens() -> None:
    go = asyncio.Event()

    async def stream(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await go.wait()
        await send({"type": "http.response.body", "body": b"last"})

    async def work(listener: Listener) -> None:
        async with client(listener) as asking:
            await asking.sends(GET % b"a")
            await asking.reader.readuntil(b"5\r\nfirst\r\n")
            go.set()
            await asking.reader.readuntil(b"0\r\n\r\n")

    run(work, stream)


@pytest.mark.parametrize(
    "messages",
    [
        [{"type": "http.response.body", "body": b"a"}],
        [{"type": "http.response.start", "status": 200}] * 2,
        [{"type": "http.response.start", "status": 700}, {"type": "http.response.body"}],
        [
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]},
            {"type": "http.response.body", "body": b"ab"},
        ],
        [
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]},
            {"type": "http.response.body", "body": b"ab"},
        ],
        [
            {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b\r\nc: d")]},
            {"type": "http.response.body", "body": b"ab"},
        ],
        [{"type": "http.response.start", "status": 200}],
        [],
    ],
)
def test_what_makes_no_response_is_not_sent(
    messages: list[dict[str, object]], capfd: pytest.CaptureFixture[str]
) -> None:
    async def wrong(_scope: Scope, _receive: Receive, send: Send) -> None:
        for message in messages:
            await send(dict(message))

    async def work(listener: Listener) -> None:
        # One path each: what repeats itself is logged once.
        path = hashlib.sha256(repr(messages).encode()).hexdigest().encode()
        assert await talk(listener, GET % path) == b""

    run(work, wrong)
    assert "http_failed" in capfd.readouterr().err


@pytest.mark.parametrize("size", [20 * MB])
def test_a_large_response_to_a_slow_reader_is_held_once(size: int) -> None:
    body = bytes(size)

    async def large(_scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"content-length", str(size).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for at in range(0, size, 65_536):
            await send({"type": "http.response.body", "body": body[at : at + 65_536], "more_body": True})
        await send({"type": "http.response.body"})

    async def work(listener: Listener) -> None:
        async with client(listener) as asking:
            tracemalloc.start()
            try:
                await asking.sends(GET % b"a")
                await asking.reader.readuntil(b"\r\n\r\n")
                left = size
                while left:
                    left -= len(await asking.reader.read(65_536))
                assert tracemalloc.get_traced_memory()[1] < 3 * MB
            finally:
                tracemalloc.stop()

    run(work, large)


def test_a_client_of_too_many_requests_ahead_is_held_back_and_served() -> None:
    async def work(listener: Listener) -> None:
        async with client(listener) as asking:
            sending = asyncio.ensure_future(asking.sends((GET % b"a") * 5000))
            for _ in range(5000):
                assert (await asking.response())[0] == 200
            await sending

    run(work, echo)
