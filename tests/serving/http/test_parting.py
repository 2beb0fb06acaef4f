"""Clients that stop to send: those that wait are answered, those that left are not worked for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from gateway.serving.asgi import LEAVING, Receive, Scope, Send
from gateway.serving.http import parting
from gateway.serving.listener import Listener
from tests.serving.http.world import GET, Client, answer, client, read_body, run, until

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
POST = b"POST /%s HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc"


class Worker:
    """An application that works until it is told to answer, or hears that nobody waits.

    Args:
        is_told: It hears so as our own server tells it, and not by the next message of ASGI.
    """

    def __init__(self, *, is_told: bool) -> None:
        self.is_told = is_told
        self.begun: list[str] = []
        self.left: list[str] = []
        self.go = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        self.begun.append(scope["path"])
        going = asyncio.ensure_future(self.go.wait())
        leaving = asyncio.ensure_future(self._told(scope) if self.is_told else receive())
        await asyncio.wait({going, leaving}, return_when=asyncio.FIRST_COMPLETED)
        going.cancel()
        if leaving.done():
            self.left.append(scope["path"])
            return
        leaving.cancel()
        await answer(send, scope["path"].encode())

    @staticmethod
    async def _told(scope: Scope) -> None:
        left = asyncio.Event()
        scope["extensions"][LEAVING].tell(left.set)
        await left.wait()


@pytest.fixture(params=["tcp", "unix"])
def listen(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "127.0.0.1:0" if request.param == "tcp" else f"unix:{tmp_path}/http"


def work_with(do: Callable[[Listener, Worker], Awaitable[None]], listen: str = "127.0.0.1:0") -> None:
    """Do something with a server, for both ways in which an application hears that its client has left."""
    for is_told in (False, True):
        worker = Worker(is_told=is_told)
        run(partial(_with, do, worker), worker, listen=listen)


async def _with(
    do: Callable[[Listener, Worker], Awaitable[None]], worker: Worker, listener: Listener
) -> None:
    await do(listener, worker)


@contextmanager
def asked_often() -> Iterator[None]:
    """Have clients asked more often than once a second whether they are there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parting, "_AGAIN_S", 0.005)
        yield


async def stops(asking: Client, worker: Worker, *requests: bytes) -> None:
    """Send requests and no more, and wait until the first is worked on."""
    await asking.sends(b"".join(requests))
    asking.writer.write_eof()
    await until(lambda: bool(worker.begun))


@pytest.mark.parametrize("sent", [GET % b"a", POST % b"a"])
def test_who_only_stopped_to_send_is_answered(listen: str, sent: bytes) -> None:
    async def do(listener: Listener, worker: Worker) -> None:
        async with client(listener) as asking:
            await stops(asking, worker, sent)
            if not listen.startswith("unix:"):  # asked whether it is there; else the kernel tells
                assert await asking.reader.readexactly(len(CONTINUE)) == CONTINUE
            worker.go.set()
            assert await asking.response() == (200, b"/a")
            assert await asking.rest() == b""
        assert worker.left == []

    work_with(do, listen)


def test_who_left_is_not_worked_for(listen: str) -> None:
    async def do(listener: Listener, worker: Worker) -> None:
        async with client(listener) as asking:
            await asking.sends(POST % b"a")
            await until(lambda: bool(worker.begun))
        await until(lambda: worker.left == ["/a"])
        await until(lambda: not listener._connections)

    work_with(do, listen)


def test_who_left_before_the_application_listens_is_not_worked_for(listen: str) -> None:
    async def do(listener: Listener, worker: Worker) -> None:
        async with client(listener) as asking:
            await asking.sends(POST % b"a")
        await until(lambda: worker.left == ["/a"])
        await until(lambda: not listener._connections)

    work_with(do, listen)


def test_who_stopped_to_send_and_leaves_later_is_not_worked_for(listen: str) -> None:
    async def do(listener: Listener, worker: Worker) -> None:
        async with client(listener) as asking:
            await stops(asking, worker, POST % b"a")
            if not listen.startswith("unix:"):
                await asking.reader.readexactly(2 * len(CONTINUE))
        await until(lambda: worker.left == ["/a"])

    with asked_often():
        work_with(do, listen)


def test_who_asked_for_more_and_stopped_to_send_is_answered_all(listen: str) -> None:
    async def do(listener: Listener, worker: Worker) -> None:
        async with client(listener) as asking:
            await stops(asking, worker, POST % b"a", POST % b"b", GET % b"c")
            worker.go.set()
            rest = (await asking.rest()).replace(CONTINUE, b"")
            assert [each[-2:] for each in rest.split(b"HTTP/1.1 200 OK\r\n")[1:]] == [b"/a", b"/b", b"/c"]
        assert worker.left == []

    work_with(do, listen)


def test_what_is_asked_after_who_left_is_not_worked_for() -> None:
    async def do(listener: Listener, worker: Worker) -> None:
        async with client(listener) as asking:
            await asking.sends(POST % b"a" + POST % b"b")
            await until(lambda: bool(worker.begun))
        await until(lambda: not listener._connections)
        assert worker.left == worker.begun == ["/a"]

    work_with(do)


def test_nobody_is_asked_within_a_response() -> None:
    async def slow(_scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"ab", "more_body": True})
        leaving = asyncio.ensure_future(receive())
        await ended.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        assert not leaving.done()
        leaving.cancel()
        await send({"type": "http.response.body", "body": b"cd"})

    async def do(listener: Listener) -> None:
        async with client(listener) as asking:
            await asking.sends(POST % b"a")
            head = await asking.reader.readuntil(b"\r\n\r\nab")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            asking.writer.write_eof()
            (connection,) = listener._connections
            await until(lambda: connection._wire is not None and connection._wire._has_ended)
            ended.set()
            assert await asking.rest() == b"cd"

    ended = asyncio.Event()
    with asked_often():
        run(do, slow)


@pytest.mark.parametrize("is_answered", [False, True], ids=["tcp", "unix"])
def test_who_speaks_an_older_http_is_answered_only_where_the_kernel_tells_that_he_waits(
    tmp_path: Path, *, is_answered: bool
) -> None:
    async def do(listener: Listener, worker: Worker) -> None:
        async with client(listener) as asking:
            await stops(asking, worker, b"GET /a HTTP/1.0\r\n\r\n")
            if is_answered:
                worker.go.set()
            rest = await asking.rest()
        assert (worker.left, rest[-2:]) == (([], b"/a") if is_answered else (["/a"], b""))

    work_with(do, f"unix:{tmp_path}/http" if is_answered else "127.0.0.1:0")
