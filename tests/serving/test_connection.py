"""Taking connections in: limits of all and of one address, and what a thousand idle ones cost."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import subprocess
import sys

import pytest

from gateway.serving.asgi import Receive, Scope, Send
from gateway.serving.http.limits import HttpLimits
from gateway.serving.listener import Listener
from tests.serving.http.h2_client import PREFACE, frame
from tests.serving.http.test_http2_attacks import REQUEST
from tests.serving.http.world import GET, answer, client, run, talk, until

IDLE_LIMIT_KB = 30_000
IDLE = 1000


def test_a_client_too_many_is_told_so_in_json() -> None:
    async def work(listener: Listener) -> None:
        async with client(listener) as first:
            await first.sends(GET % b"a")
            assert (await first.response())[0] == 200
            head, _, body = (await talk(listener, b"")).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503 Service Unavailable")
            assert b"retry-after: 1" in head
            assert "too many connections" in json.loads(body)["error"]

    run(work, limits=HttpLimits(connections=1))


def test_one_address_gets_no_more_than_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.serving.connection.origin", lambda _: "10.0.0.1")

    async def work(listener: Listener) -> None:
        async with client(listener) as first, client(listener) as second:
            await until(lambda: len(listener._connections) == 2)
            assert (await talk(listener, b"")).startswith(b"HTTP/1.1 503")
            for each in (first, second):
                await each.sends(GET % b"a")
                assert (await each.response())[0] == 200
        await until(lambda: not listener._connections)
        assert not listener._origins
        assert (await talk(listener, GET % b"a")).startswith(b"HTTP/1.1 200")

    run(work, limits=HttpLimits(connections_per_address=2))


def test_programs_of_this_machine_share_no_such_limit() -> None:
    async def work(listener: Listener) -> None:
        async with client(listener), client(listener):
            assert (await talk(listener, GET % b"a")).startswith(b"HTTP/1.1 200")

    run(work, limits=HttpLimits(connections_per_address=1))


@pytest.mark.parametrize("pieces", [(1,), (3,), (10, 20), (23,)])
def test_the_version_is_found_however_the_first_bytes_come(pieces: tuple[int, ...]) -> None:
    async def work(listener: Listener) -> None:
        for sent, expected in (
            (PREFACE + frame(4), b"\0\0"),
            (b"PUT /a HTTP/1.1\r\nhost: x\r\n\r\n", b"HTTP"),
        ):
            async with client(listener) as asking:
                for start, end in zip((0, *pieces), (*pieces, len(sent)), strict=True):
                    await asking.sends(sent[start:end])
                    await asyncio.sleep(0.001)
                assert (await asking.reader.readexactly(len(expected))) == expected

    run(work)


def test_an_application_that_ends_while_its_client_goes_leaves_nothing() -> None:
    async def slow(_scope: Scope, _receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.001)
        await answer(send, b"a" * 100_000)

    async def work(listener: Listener) -> None:
        for number in range(50):
            async with client(listener) as asking:
                await asking.sends((GET % b"a") * 3)
                await asyncio.sleep(number / 20_000)
                asking.writer.transport.abort()
        await until(lambda: not listener._connections)

    run(work, slow)


def test_answers_for_a_client_that_has_cut_the_connection_are_not_tried_one_by_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked, go = [0], asyncio.Event()

    async def slow(_scope: Scope, _receive: Receive, send: Send) -> None:
        asked[0] += 1
        await go.wait()
        await answer(send, b"late")

    async def work(listener: Listener) -> None:
        host, port = listener.address.split(":")
        with socket.create_connection((host, int(port))) as sock:
            many = b"".join(frame(1, stream, REQUEST, 5) for stream in range(1, 41, 2))
            sock.sendall(PREFACE + frame(4) + many)
            await until(lambda: asked[0] == 20)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        go.set()  # before the loop looks at its sockets again
        await until(lambda: not listener._connections)

    run(work, slow)
    assert not [each for each in caplog.records if each.name == "asyncio"]


SCRIPT = """
import asyncio, gc, resource, socket, sys
from gateway.serving.http.limits import HttpLimits
from gateway.serving.listener import Listener

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})

def private_kb():
    gc.collect()
    lines = open("/proc/self/smaps_rollup").read().splitlines()
    # Clean pages are those of programs, which become ours alone when others that run them end.
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty"))

async def main(count, sent):
    async with Listener(app, "127.0.0.1:0", HttpLimits(connections=count + 8)) as listener:
        host, port = listener.address.split(":")
        loop, clients = asyncio.get_running_loop(), []
        async def one():
            sock = socket.socket()
            sock.setblocking(False)
            await loop.sock_connect(sock, (host, int(port)))
            await loop.sock_sendall(sock, sent)
            assert await loop.sock_recv(sock, 1000)
            clients.append(sock)
        await one()
        before = private_kb()
        for _ in range(count):
            await one()
        assert len(listener._connections) == count + 1
        print(private_kb() - before)
        for sock in clients:
            sock.close()

soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
asyncio.run(main(int(sys.argv[1]), bytes.fromhex(sys.argv[2])))
"""


@pytest.mark.parametrize("sent", [GET % b"a", PREFACE + frame(4) + frame(1, 1, REQUEST, 5)])
def test_a_thousand_idle_connections_cost_little_memory(sent: bytes) -> None:
    line = [sys.executable, "-c", SCRIPT, str(IDLE), sent.hex()]
    done = subprocess.run(line, check=True, capture_output=True, text=True, timeout=100)
    assert int(done.stdout) < IDLE_LIMIT_KB
