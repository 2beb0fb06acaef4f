"""What the HTTP/2 machine leaves to us: a client that says farewell is answered what it has asked still."""

from __future__ import annotations

import asyncio

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from gateway.serving.asgi import Receive, Scope, Send
from gateway.serving.http.limits import HttpLimits
from gateway.serving.http.machine2 import machine_of
from gateway.serving.listener import Listener
from tests.serving.http.h2_client import GOAWAY, H2Client, frame, h2_client
from tests.serving.http.world import Deaf, answer, read_body, run, until


class _Slow:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        body, _ = await read_body(receive)
        self.asked.set()
        await self.go.wait()
        await answer(send, b"%d" % len(body))


async def _says_farewell(asking: H2Client, farewell: bytes) -> None:
    """Say farewell, and wait until the server has read it."""
    asking.writer.write(farewell)
    asking.machine.ping(b"12345678")
    asking.flush()
    while not asking.pongs and not asking.has_ended:
        await asking.turn()


def test_a_client_that_says_farewell_is_answered_and_then_the_connection_ends() -> None:
    async def work(listener: Listener) -> None:
        async with h2_client(listener) as asking:
            whole = asking.ask("/a")
            part = asking.ask("/b", "POST", b"abc", more=True)
            await slow.asked.wait()
            await _says_farewell(asking, frame(GOAWAY, 0, bytes(8)) * 2)
            asking.push(part, b"def", ends=True)
            slow.go.set()
            assert (await asking.answered(whole)).status == 200
            assert (await asking.answered(part)).body == b"6"
            farewell = await asking.end()
            assert farewell is not None
            assert farewell.error_code == ErrorCodes.NO_ERROR

    slow = _Slow()
    run(work, slow)


def test_a_client_that_says_farewell_and_has_asked_nothing_is_let_go() -> None:
    async def work(listener: Listener) -> None:
        async with h2_client(listener) as asking:
            asking.writer.write(frame(GOAWAY, 0, bytes(8)))
            assert await asking.end() is not None

    run(work)


@pytest.mark.parametrize("code", [1, 11, 0xFF])
def test_a_client_that_ends_for_an_error_waits_for_nothing(code: int) -> None:
    async def work(listener: Listener) -> None:
        async with h2_client(listener) as asking:
            asking.ask("/a")
            await deaf.is_working.wait()
            asking.writer.write(frame(GOAWAY, 0, bytes(7) + bytes([code])))
            await asking.end()
        await until(lambda: not listener._connections)

    deaf = Deaf()
    run(work, deaf, HttpLimits(linger_s=5.0))


@pytest.mark.parametrize(
    "sizes", [[0], [100], [0, 0], [100, 0], [0, 100], [0, 65_536], [65_536, 0], [65_536], [100, 4096] * 20]
)
def test_a_client_that_keeps_a_smaller_table_of_headers_is_told_of_it_before_its_next_answer(
    sizes: list[int],
) -> None:
    async def work(listener: Listener) -> None:
        async with h2_client(listener) as asking:
            for size in sizes:
                asking.machine.update_settings({SettingCodes.HEADER_TABLE_SIZE: size})
                asking.flush()
            # The client's library refuses headers from who was not told, or did not tell.
            assert (await asking.answered(asking.ask("/a"))).status == 200
            (connection,) = listener._connections
            encoder = connection._wire.speaker._machine.encoder  # type: ignore[union-attr]
            assert encoder.header_table_size == min(sizes[-1], 4096)
            assert (await asking.answered(asking.ask("/a"))).status == 200

    run(work)


def test_a_client_is_told_of_the_smallest_table_and_of_the_last_alone() -> None:
    machine = machine_of(HttpLimits())
    for size in [3000, 200, 100, 100, 2**31, 50_000, 1000, 1000]:
        machine.encoder.header_table_size = size
        machine.settle_table()
    assert machine.encoder.encode([]) == bytes.fromhex("3f453fc907")
    assert machine.encoder.encode([]) == b""
