"""Malformed requests of HTTP/2 end alone (RFC 9113, 8.1.1): others on their connection are answered."""

from __future__ import annotations

import asyncio

import pytest
from h2.errors import ErrorCodes

from gateway.serving.asgi import Receive, Scope, Send
from gateway.serving.http.limits import HttpLimits
from gateway.serving.listener import Listener
from tests.serving.http.h2_client import H2Client, Response, h2_client
from tests.serving.http.world import answer, read_body, run

Fields = list[tuple[bytes, bytes]]
METHOD, SCHEME, PATH, HOST = (
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/bad"),
    (b":authority", b"x"),
)
SOUND: Fields = [METHOD, SCHEME, PATH, HOST]

HEADS: dict[str, Fields] = {
    "a capital letter in a name": [*SOUND, (b"Abc", b"d")],
    "a space in a name": [*SOUND, (b"a b", b"d")],
    "no name": [*SOUND, (b"", b"d")],
    "a colon in a name": [*SOUND, (b"a:b", b"d")],
    "a byte of no alphabet in a name": [*SOUND, (b"\xe4", b"d")],
    "a line's end in a value": [*SOUND, (b"a", b"b\r\nc: d")],
    "a zero in a value": [*SOUND, (b"a", b"b\0c")],
    "a control in a value": [*SOUND, (b"a", b"b\x01c")],
    "a space before a value": [*SOUND, (b"a", b" b")],
    "a tab behind a value": [*SOUND, (b"a", b"b\t")],
    "no method": [SCHEME, PATH, HOST],
    "no scheme": [METHOD, PATH, HOST],
    "no path": [METHOD, SCHEME, HOST],
    "an empty path": [METHOD, SCHEME, HOST, (b":path", b"")],
    "no authority": [METHOD, SCHEME, PATH],
    "two methods": [METHOD, *SOUND],
    "two paths": [*SOUND, PATH],
    "an unknown field before the others": [*SOUND, (b":a", b"b")],
    "a status": [*SOUND, (b":status", b"200")],
    "a protocol": [*SOUND, (b":protocol", b"websocket")],
    "a path behind the others": [METHOD, SCHEME, HOST, (b"a", b"b"), PATH],
    "another host": [*SOUND, (b"host", b"y")],
    "two hosts": [METHOD, SCHEME, PATH, (b"host", b"x"), (b"host", b"x")],
    "a connection": [*SOUND, (b"connection", b"close")],
    "a kept connection": [*SOUND, (b"keep-alive", b"1")],
    "a proxy's connection": [*SOUND, (b"proxy-connection", b"keep-alive")],
    "chunks": [*SOUND, (b"transfer-encoding", b"chunked")],
    "another protocol": [*SOUND, (b"upgrade", b"h2c")],
    "trailers and more": [*SOUND, (b"te", b"trailers, deflate")],
    "a tunnel with a path": [(b":method", b"CONNECT"), SCHEME, PATH, HOST],
    "a signed length": [*SOUND, (b"content-length", b"+3")],
    "a length that never ends": [*SOUND, (b"content-length", b"1" * 5000)],
    "two lengths": [*SOUND, (b"content-length", b"3"), (b"content-length", b"4")],
}

BODIES: dict[str, tuple[bytes, list[bytes], Fields | None]] = {
    "less of a body": (b"9", [b"abc"], None),
    "none of a body": (b"9", [], []),
    "more of a body": (b"2", [b"abc"], None),
    "more of a body, piece by piece": (b"7", [b"abc"] * 3, None),
    "a body of no bytes": (b"0", [b"abc"], None),
    "a path behind the body": (b"3", [b"abc"], [(b":path", b"/a")]),
    "a capital letter behind the body": (b"3", [b"abc"], [(b"A", b"b")]),
    "a connection behind the body": (b"3", [b"abc"], [(b"connection", b"close")]),
}


class _Slow:
    """Answers the first request when it is told to, every other at once."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.whole: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _, is_whole = await read_body(receive)
        if is_whole:
            self.whole.append(scope["path"])
        if scope["path"] == "/first":
            await self.go.wait()
        await answer(send, b"")


def _send(asking: H2Client, fields: Fields, *, ends: bool) -> int:
    stream = asking.machine.get_next_available_stream_id()
    asking.machine.send_headers(stream, fields, end_stream=ends)
    asking.responses[stream] = Response()
    asking.flush()
    return stream


async def _ends_alone(asking: H2Client, stream: int, first: int, app: _Slow) -> None:
    got = await asking.answered(stream)
    assert (got.status, got.reset) == (0, ErrorCodes.PROTOCOL_ERROR)
    app.go.set()
    assert (await asking.answered(first)).status == 200
    assert (await asking.answered(asking.ask("/last"))).status == 200
    assert app.whole == ["/first", "/last"]
    assert asking.goaway is None


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("ends", [True, False])
def test_a_malformed_head_ends_its_request_alone(name: str, ends: bool) -> None:
    async def work(listener: Listener) -> None:
        async with h2_client(listener) as asking:
            first = asking.ask("/first")
            await _ends_alone(asking, _send(asking, HEADS[name], ends=ends), first, app)

    app = _Slow()
    run(work, app)


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_is_not_as_its_head_says_ends_its_request_alone(name: str) -> None:
    length, pieces, trailers = BODIES[name]

    async def work(listener: Listener) -> None:
        async with h2_client(listener) as asking:
            first = asking.ask("/first")
            machine = asking.machine
            stream = _send(asking, [*SOUND, (b"content-length", length)], ends=trailers == [])
            for at, piece in enumerate(pieces):
                machine.send_data(stream, piece, end_stream=trailers is None and at + 1 == len(pieces))
            if trailers:
                machine.send_headers(stream, trailers, end_stream=True)
            asking.flush()
            await _ends_alone(asking, stream, first, app)

    app = _Slow()
    run(work, app)


def test_trailers_that_are_sound_are_passed_over() -> None:
    async def work(listener: Listener) -> None:
        async with h2_client(listener) as asking:
            stream = _send(asking, [*SOUND, (b"content-length", b"3")], ends=False)
            asking.machine.send_data(stream, b"abc")
            asking.machine.send_headers(stream, [(b"a", b"b")], end_stream=True)
            asking.flush()
            assert (await asking.answered(stream)).status == 200

    run(work, _Slow())


def test_windows_are_whole_again_after_bodies_that_were_longer_than_said() -> None:
    async def work(listener: Listener) -> None:
        async with h2_client(listener) as asking:
            for _ in range(40):
                stream = _send(asking, [*SOUND, (b"content-length", b"1")], ends=False)
                asking.push(stream, bytes(16_000), ends=True)
                assert (await asking.answered(stream)).reset == ErrorCodes.PROTOCOL_ERROR
            assert (await asking.upload("/last", bytes(200_000))).status == 200

    run(work, _Slow(), HttpLimits(window_bytes=100_000))


def test_a_client_of_many_malformed_requests_is_one_that_attacks() -> None:
    async def work(listener: Listener) -> None:
        async with h2_client(listener) as asking:
            while asking.goaway is None:
                await asking.answered(_send(asking, HEADS["no path"], ends=True))
            farewell = asking.goaway
            assert 20 <= len(asking.responses) <= 30
            assert farewell is not None
            assert farewell.error_code == ErrorCodes.ENHANCE_YOUR_CALM

    run(work, _Slow(), HttpLimits(resets=20, resets_per_s=0.001, linger_s=5.0))
