"""Clients that attack over HTTP/2: floods, half frames, nonsense, and heads that grow."""

from __future__ import annotations

import asyncio

import pytest
from h2.errors import ErrorCodes

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
    H2Client,
    frame,
    h2_client,
)
from tests.serving.http.world import GET, client, run, talk

CALM = ErrorCodes.ENHANCE_YOUR_CALM
# A request for / of x, all of it from the static table but the authority.
REQUEST = b"\x82\x84\x86\x41\x01x"


async def _begun(asking: H2Client) -> None:
    """Go through the settings, so that what follows is the attack alone."""
    while asking.machine.remote_settings.max_concurrent_streams != HttpLimits().streams:
        await asking.turn()


HEADERS_AND_RESET = b"".join(
    frame(HEADERS, stream, REQUEST, 0x5) + frame(RESET, stream, b"\0\0\0\x08") for stream in range(1, 6001, 2)
)
FLOODS = {
    "requests that are taken back": HEADERS_AND_RESET,
    "settings": frame(SETTINGS, 0, b"\0\3\0\0\0\x64") * 3000,
    "empty settings": frame(SETTINGS) * 3000,
    "pings": frame(PING, 0, b"12345678") * 3000,
    "priorities": frame(PRIORITY, 1, b"\0\0\0\0\1") * 3000,
    "windows": frame(WINDOW, 0, b"\0\0\0\1") * 3000,
    "empty data": frame(HEADERS, 1, REQUEST, 0x4) + frame(DATA, 1) * 3000,
    "tiny data": frame(HEADERS, 1, REQUEST, 0x4) + frame(DATA, 1, b"a") * 3000,
    "unknown frames": frame(0x42, 0, b"a" * 10) * 3000,
    "headers that never end": frame(HEADERS, 1, REQUEST, 0x1) + frame(CONTINUATION, 1, b"\0" * 9000) * 3,
    "empty headers that never end": frame(HEADERS, 1, REQUEST, 0x1) + frame(CONTINUATION, 1) * 3000,
    # A header of 3,000 bytes that the table holds, named 3,000 times with one byte each.
    "a head that grows when it is unpacked": frame(
        HEADERS, 1, REQUEST + b"\x40\x01a\x7f\xb9\x16" + b"v" * 3000 + b"\xbe" * 3000, 0x5
    ),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_is_ended_and_others_are_served(name: str) -> None:
    async def work(listener: Listener) -> None:
        async with h2_client(listener) as asking, h2_client(listener) as other:
            await _begun(asking)
            asking.writer.write(FLOODS[name])
            farewell = await asking.end()
            assert farewell is not None
            assert farewell.error_code == CALM
            assert (await other.answered(other.ask("/a"))).status == 200

    run(work, limits=HttpLimits(linger_s=5.0))


def test_a_frame_that_is_larger_than_allowed_is_said_to_be_so_and_not_read() -> None:
    async def work(listener: Listener) -> None:
        async with h2_client(listener) as asking:
            await _begun(asking)
            asking.writer.write(b"\xff\xff\xff" + frame(DATA, 1)[3:] + b"a" * 100_000)
            farewell = await asking.end()
            assert farewell is not None
            assert farewell.error_code == ErrorCodes.FRAME_SIZE_ERROR

    run(work, limits=HttpLimits(linger_s=5.0))


@pytest.mark.parametrize(
    "sent",
    [
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        PREFACE + frame(DATA, 1, b"a"),
        PREFACE + frame(HEADERS, 0, REQUEST, 0x5),
        PREFACE + frame(HEADERS, 2, REQUEST, 0x5),
        PREFACE + frame(HEADERS, 1, b"\xff\xff\xff\xff\xff\xff\xff", 0x5),
        PREFACE + frame(HEADERS, 1, b"\xc0", 0x5),
        PREFACE + frame(HEADERS, 1, REQUEST, 0x4) + frame(HEADERS, 3, REQUEST) + frame(DATA, 1, b"a" * 100),
        PREFACE + frame(SETTINGS, 0, b"\0\4\xff\xff\xff\xff"),
        PREFACE + frame(SETTINGS, 0, b"\0\5\0\0\0\1"),
        PREFACE + frame(SETTINGS, 1),
        PREFACE + frame(SETTINGS, 0, b"\0"),
        PREFACE + frame(PING, 0, b"1"),
        PREFACE + frame(WINDOW, 0, b"\0\0\0\0"),
        PREFACE + frame(WINDOW, 0, b"\x7f\xff\xff\xff") * 2,
        PREFACE + frame(RESET, 1, b"\0\0\0\0"),
        PREFACE + frame(CONTINUATION, 1, REQUEST, 0x4),
        PREFACE + frame(5, 1, b"\0\0\0\2" + REQUEST, 0x4),
    ],
)
def test_what_is_no_http2_ends_the_connection(sent: bytes) -> None:
    async def work(listener: Listener) -> None:
        async with client(listener) as asking:
            await asking.sends(sent)
            answered = await asking.rest()
        if answered.startswith(b"HTTP/1.1"):
            assert answered.startswith(b"HTTP/1.1 400 ")
        else:
            assert frame(GOAWAY)[3:4] in answered
        assert (await talk(listener, GET % b"ok")).startswith(b"HTTP/1.1 200")

    run(work, limits=HttpLimits(linger_s=0.05, head_s=1.0))


@pytest.mark.parametrize("sent", [b"PRI * HT", PREFACE, PREFACE + frame(SETTINGS) + b"\0\0", PREFACE[:3]])
def test_a_client_that_does_not_go_on_is_cut_off(sent: bytes) -> None:
    async def work(listener: Listener) -> None:
        async with client(listener) as asking:
            await asking.sends(sent)
            await asking.rest()

    run(work, limits=HttpLimits(head_s=0.1))


def test_a_client_that_sends_a_head_byte_by_byte_is_cut_off_although_it_goes_on() -> None:
    async def work(listener: Listener) -> None:
        async with h2_client(listener) as asking:
            assert (await asking.answered(asking.ask("/a"))).status == 200
            ending = asyncio.ensure_future(asking.end())
            asking.writer.write(frame(HEADERS, 3, REQUEST, 0x1) + frame(CONTINUATION, 3, b"a" * 9000)[:9])
            while not ending.done():
                asking.writer.write(b"a")
                await asyncio.sleep(0.02)
            assert ending.result() is not None

    run(work, limits=HttpLimits(head_s=1.0))


def test_pings_do_not_keep_a_connection_that_asks_nothing() -> None:
    async def work(listener: Listener) -> None:
        async with h2_client(listener) as asking:
            assert (await asking.answered(asking.ask("/a"))).status == 200
            ending = asyncio.ensure_future(asking.end())
            while not ending.done():
                asking.writer.write(frame(PING, 0, b"12345678"))
                await asyncio.sleep(0.02)
            assert ending.result().error_code == ErrorCodes.NO_ERROR  # type: ignore[union-attr]

    run(work, limits=HttpLimits(idle_s=1.0))


def test_a_table_of_headers_is_no_larger_than_ours_whatever_a_client_offers() -> None:
    async def work(listener: Listener) -> None:
        async with h2_client(listener, begins=False) as asking:
            asking.writer.write(PREFACE + frame(SETTINGS, 0, b"\0\1\x7f\xff\xff\xff"))
            asking.machine.initiate_connection()
            asking.machine.clear_outbound_data_buffer()
            asking.machine.decoder.max_allowed_table_size = 2**31 - 1
            assert (await asking.answered(asking.ask("/a"))).status == 200
            (connection,) = listener._connections
            speaker = connection._wire.speaker  # type: ignore[union-attr]
            assert speaker._machine.encoder.header_table_size == 4096  # type: ignore[union-attr]

    run(work)
