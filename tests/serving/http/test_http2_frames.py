"""What comes of frames that RFC 9113 speaks of: the connection goes on, a stream ends, or all of it does."""

from __future__ import annotations

import pytest
from h2.errors import ErrorCodes
from hpack import Encoder

from gateway.serving.asgi import Receive, Scope, Send
from gateway.serving.http.limits import HttpLimits
from gateway.serving.listener import Listener
from tests.serving.http.h2_client import (
    CONTINUATION,
    DATA,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    RESET,
    SETTINGS,
    WINDOW,
    frame,
)
from tests.serving.http.world import Client, client, read_body, run

GET = Encoder().encode([(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "x")])
WHOLE = frame(HEADERS, 1, GET, 0x5)
OPEN = frame(HEADERS, 1, GET, 0x4)
HALF = frame(HEADERS, 1, GET, 0x1)
GONE = OPEN + frame(RESET, 1, b"\0\0\0\x08")
PONG = b"whatever"
PROTOCOL, SIZE, FLOW, CLOSED = (
    ErrorCodes.PROTOCOL_ERROR,
    ErrorCodes.FRAME_SIZE_ERROR,
    ErrorCodes.FLOW_CONTROL_ERROR,
    ErrorCodes.STREAM_CLOSED,
)

GOES_ON = {
    "a frame of no known kind (4.1)": frame(0x16, 0, bytes(8)),
    "flags that mean nothing (4.1)": frame(PING, 0, bytes(8), 0xFE),
    "a reserved bit (4.1)": frame(PING, 0x80000000, bytes(8)),
    "a setting of no known name (6.5.2)": frame(SETTINGS, 0, b"\0\xff\0\0\0\1"),
    "an answer to no ping (6.7)": frame(PING, 0, bytes(8), 0x1),
    "a reset for a reason of no known name (7)": OPEN + frame(RESET, 1, b"\0\0\0\xff"),
    "a window for what was reset (5.1)": GONE + frame(WINDOW, 1, b"\0\0\0\1"),
    "a priority of what is not open (6.3)": frame(PRIORITY, 1, b"\0\0\0\0\1"),
    "a head in pieces (6.10)": frame(HEADERS, 1, GET[:1], 0x1)
    + frame(CONTINUATION, 1, GET[1:3])
    + frame(CONTINUATION, 1, GET[3:], 0x4),
    "padding (6.1)": OPEN + frame(DATA, 1, b"\2abc\0\0", 0x9),
}

ENDS_A_STREAM = {
    "data behind the end (5.1)": (WHOLE + frame(DATA, 1, b"abc", 0x1), CLOSED),
    "a head behind the end (5.1)": (WHOLE + WHOLE, CLOSED),
    "data for what was reset (5.1)": (GONE + frame(DATA, 1, b"abc", 0x1), CLOSED),
    "a head for what was reset (5.1)": (GONE + WHOLE, CLOSED),
    "too large a window (6.9.1)": (OPEN + frame(WINDOW, 1, b"\x7f\xff\xff\xff") * 2, FLOW),
}

ENDS_ALL = {
    "data too large (4.2)": (OPEN + frame(DATA, 1, bytes(16_385)), SIZE),
    "a priority within a head (4.3)": (HALF + frame(PRIORITY, 1, b"\0\0\0\0\1"), PROTOCOL),
    "another head within a head (4.3)": (HALF + frame(HEADERS, 3, GET, 0x5), PROTOCOL),
    "an unknown frame within a head (5.5)": (HALF + frame(0xFF, 0, b"abc"), PROTOCOL),
    "data for what is not open (5.1)": (frame(DATA, 1, b"abc", 0x1), PROTOCOL),
    "a reset of what is not open (5.1)": (frame(RESET, 1, b"\0\0\0\x08"), PROTOCOL),
    "a window for what is not open (5.1)": (frame(WINDOW, 1, b"\0\0\0\1"), PROTOCOL),
    "an even stream (5.1.1)": (frame(HEADERS, 2, GET, 0x5), PROTOCOL),
    "an earlier stream (5.1.1)": (frame(HEADERS, 5, GET, 0x5) + frame(HEADERS, 3, GET, 0x5), PROTOCOL),
    "more streams than allowed (5.1.2)": (
        b"".join(frame(HEADERS, stream, GET, 0x4) for stream in range(1, 2 * HttpLimits().streams + 2, 2)),
        PROTOCOL,
    ),
    "data for nothing (6.1)": (frame(DATA, 0, b"abc"), PROTOCOL),
    "more padding than data (6.1)": (OPEN + frame(DATA, 1, b"\x09abc", 0x9), PROTOCOL),
    "a head for nothing (6.2)": (frame(HEADERS, 0, GET, 0x5), PROTOCOL),
    "a priority for nothing (6.3)": (frame(PRIORITY, 0, b"\0\0\0\1\1"), PROTOCOL),
    "a reset for nothing (6.4)": (frame(RESET, 0, b"\0\0\0\x08"), PROTOCOL),
    "half a reset (6.4)": (OPEN + frame(RESET, 1, b"\0\0\0"), SIZE),
    "settings of a stream (6.5)": (frame(SETTINGS, 1), PROTOCOL),
    "half a setting (6.5)": (frame(SETTINGS, 0, b"\0\1\0"), SIZE),
    "a window beyond all (6.5.2)": (frame(SETTINGS, 0, b"\0\4\x80\0\0\0"), FLOW),
    "frames below the least (6.5.2)": (frame(SETTINGS, 0, b"\0\5\0\0\x3f\xff"), PROTOCOL),
    "a push (8.4)": (frame(5, 1, b"\0\0\0\2" + GET, 0x4), PROTOCOL),
    "a ping of a stream (6.7)": (frame(PING, 1, bytes(8)), PROTOCOL),
    "half a ping (6.7)": (frame(PING, 0, bytes(6)), SIZE),
    "a farewell of a stream (6.8)": (frame(GOAWAY, 1, bytes(8)), PROTOCOL),
    "a window of nothing (6.9)": (frame(WINDOW, 0, bytes(4)), PROTOCOL),
    "half a window (6.9)": (frame(WINDOW, 0, b"\0\0\1"), SIZE),
    "too large a window (6.9.1)": (frame(WINDOW, 0, b"\x7f\xff\xff\xff") * 2, FLOW),
    "the rest of no head (6.10)": (OPEN + frame(CONTINUATION, 1, b"", 0x4), PROTOCOL),
}


async def _outcome(listener: Listener, sent: bytes) -> tuple[ErrorCodes | None, dict[int, ErrorCodes]]:
    """Return why the connection ended, None if it did not, and why streams did."""
    async with client(listener) as asking:
        await asking.sends(PREFACE + frame(SETTINGS) + sent + frame(PING, 0, PONG))
        streams: dict[int, ErrorCodes] = {}
        while True:
            kind, flags, stream, payload = await _next(asking)
            if kind == GOAWAY:
                return ErrorCodes(int.from_bytes(payload[4:8], "big")), streams
            if kind == RESET:
                streams[stream] = ErrorCodes(int.from_bytes(payload, "big"))
            if (kind, flags, payload) == (PING, 1, PONG):
                return None, streams


async def _next(asking: Client) -> tuple[int, int, int, bytes]:
    head = await asking.reader.readexactly(9)
    payload = await asking.reader.readexactly(int.from_bytes(head[:3], "big"))
    return head[3], head[4], int.from_bytes(head[5:], "big"), payload


async def _waits(_scope: Scope, receive: Receive, _send: Send) -> None:
    """Read, and wait until the client is gone."""
    await read_body(receive)
    await receive()


@pytest.mark.parametrize("name", GOES_ON)
def test_what_is_allowed_ends_nothing(name: str) -> None:
    async def work(listener: Listener) -> None:
        assert await _outcome(listener, GOES_ON[name]) == (None, {})

    run(work, _waits)


@pytest.mark.parametrize("name", ENDS_A_STREAM)
def test_what_is_wrong_with_a_stream_ends_it_alone(name: str) -> None:
    sent, code = ENDS_A_STREAM[name]

    async def work(listener: Listener) -> None:
        assert await _outcome(listener, sent) == (None, {1: code})

    run(work, _waits)


@pytest.mark.parametrize("name", ENDS_ALL)
def test_what_is_wrong_with_a_connection_ends_it(name: str) -> None:
    sent, code = ENDS_ALL[name]

    async def work(listener: Listener) -> None:
        ended, _ = await _outcome(listener, sent)
        assert ended == code

    run(work, _waits, HttpLimits(linger_s=0.05))
