"""HTTP/2 against real sockets: many requests at a time, windows both ways, and clients that attack."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tracemalloc
from pathlib import Path

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from gateway.serving.asgi import Receive, Scope, Send
from gateway.serving.connection import Connection
from gateway.serving.http.exchange2 import Exchange
from gateway.serving.http.limits import HttpLimits
from gateway.serving.listener import Listener
from tests.serving.http.h2_client import (
    DATA,
    GOAWAY,
    PREFACE,
    SETTINGS,
    frame,
    h2_client,
)
from tests.serving.http.world import Deaf, answer, read_body, run, until, without_collector

MB = 1_000_000
CALM = ErrorCodes.ENHANCE_YOUR_CALM


def test_requests_of_every_kind_are_answered_over_one_connection() -> None:
    async def work(listener: Listener) -> None:
        async with h2_client(listener) as asking:
            got = await asking.answered(asking.ask("/a%20b?c"))
            assert (got.status, got.body) == (200, b"GET /a b 0 2")
            assert b"date" in got.headers
            got = await asking.answered(asking.ask("/a", "HEAD"))
            assert (got.status, got.body, got.headers[b"content-length"]) == (200, b"", b"11")
            assert (await asking.answered(asking.ask("/b", "POST", b""))).body == b"POST /b 0 2"
            for size in (1, 16_384, 3 * MB):
                got = await asking.upload("/b", b"c" * size)
                assert (got.status, got.body) == (200, b"POST /b %d 2" % size)

    run(work)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_speaks_with_it(tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(b"c" * 2 * MB)

    def curl(*arguments: str) -> str:
        line = ["curl", "-sS", "-m", "30", "--http2-prior-knowledge", "-w", " %{http_version}", *arguments]
        return subprocess.run(line, check=True, capture_output=True, text=True).stdout

    async def work(listener: Listener) -> None:
        url = f"http://{listener.address}/a"
        assert await asyncio.to_thread(curl, url) == "GET /a 0 2 2"
        assert await asyncio.to_thread(curl, "--data-binary", f"@{body}", url) == f"POST /a {2 * MB} 2 2"
        # An offer to go over to HTTP/2 is ignored, and takes no body with it.
        offered = ("--http2", "--data-binary", f"@{body}", url)
        assert await asyncio.to_thread(curl, *offered) in {f"POST /a {2 * MB} {v} {v}" for v in ("2", "1.1")}

    run(work)


def test_many_requests_run_at_a_time_and_are_answered_as_they_are_ready() -> None:
    here: list[str] = []
    go = asyncio.Event()

    async def together(scope: Scope, _receive: Receive, send: Send) -> None:
        here.append(scope["path"])
        if scope["path"] != "/fast":
            await go.wait()
        await answer(send, scope["path"].encode())

    async def work(listener: Listener) -> None:
        async with h2_client(listener) as asking:
            slow = [asking.ask(f"/{number}") for number in range(100)]
            assert (await asking.answered(asking.ask("/fast"))).body == b"/fast"
            assert len(here) == 101
            go.set()
            for number, stream in enumerate(slow):
                assert (await asking.answered(stream)).body == b"/%d" % number

    run(work, together)


def test_a_body_is_asked_for_when_it_is_wanted() -> None:
    async def work(listener: Listener) -> None:
        async with h2_client(listener) as asking:
            stream = asking.ask("/a", "POST", more=True, headers=((b"expect", b"100-continue"),))
            while not asking.responses[stream].was_asked:
                await asking.turn()
            asking.push(stream, b"abc", ends=True)
            assert (await asking.answered(stream)).body == b"POST /a 3 2"

    run(work)


def test_a_body_that_nobody_takes_fills_its_window_and_no_more_and_others_go_on() -> None:
    go = asyncio.Event()

    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/late":
            await go.wait()
        body, _ = await read_body(receive)
        await answer(send, str(len(body)).encode())

    async def work(listener: Listener) -> None:
        async with h2_client(listener) as asking:
            assert (await asking.answered(asking.ask("/warm"))).status == 200
            stream = asking.ask("/late", "POST", more=True)
            body = b"b" * 16 * MB
            at = asking.push(stream, body, ends=True)
            assert at == HttpLimits().ahead_bytes
            for _ in range(3):
                assert (await asking.upload("/now", b"c" * 2 * MB)).body == b"2000000"
            assert asking.push(stream, body[at:], ends=True) == 0
            go.set()
            while at < len(body):
                sent = asking.push(stream, body[at:], ends=True)
                at += sent
                if not sent:
                    await asking.turn()
            assert (await asking.answered(stream)).body == b"16000000"

    run(work, late)


def test_a_response_into_a_window_that_stands_still_costs_its_own_bytes_and_is_given_up_in_time() -> None:
    size = 16 * MB
    body = bytes(size)
    ended = asyncio.Event()

    async def large(_scope: Scope, _receive: Receive, send: Send) -> None:
        try:
            await answer(send, body)
        finally:
            ended.set()

    async def work(listener: Listener) -> None:
        async with h2_client(listener, takes=False) as asking:
            tracemalloc.start()
            try:
                stream = asking.ask("/a")
                got = await asking.answered(stream)
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
            assert got.reset == ErrorCodes.CANCEL
            assert len(got.body) == 65_535
            assert ended.is_set()
            assert peak < 3 * MB
            # The connection is not to blame.
            asking.machine.increment_flow_control_window(MB)
            asking.ask("/b")
            assert not asking.has_ended

    run(work, large, HttpLimits(taking_s=0.1, least_bytes_s=1e9))


def test_a_window_of_one_byte_gives_the_response_byte_by_byte() -> None:
    async def work(listener: Listener) -> None:
        async with h2_client(listener, takes=False, begins=False) as asking:
            asking.machine.local_settings[SettingCodes.INITIAL_WINDOW_SIZE] = 1
            asking.writer.write(PREFACE + frame(SETTINGS, 0, b"\0\4\0\0\0\1"))
            asking.machine.initiate_connection()
            asking.machine.clear_outbound_data_buffer()
            stream = asking.ask("/a")
            response = asking.responses[stream]
            while not response.has_ended:
                before = len(response.body)
                while len(response.body) == before and not response.has_ended:
                    await asking.turn()
                if not response.has_ended:
                    asking.machine.increment_flow_control_window(1, stream)
                    asking.flush()
            assert response.body == b"GET /a 0 2"

    run(work)


def test_an_application_hears_that_its_request_was_taken_back_and_is_ended() -> None:
    heard: list[str] = []
    working = asyncio.Event()

    async def long(_scope: Scope, receive: Receive, _send: Send) -> None:
        await read_body(receive)
        working.set()
        try:
            heard.append((await receive())["type"])
        except asyncio.CancelledError:
            heard.append("cancelled")
            raise

    async def work(listener: Listener) -> None:
        async with h2_client(listener) as asking:
            stream = asking.ask("/a")
            await working.wait()
            working.clear()
            asking.machine.reset_stream(stream, ErrorCodes.CANCEL)
            asking.flush()
            await until(lambda: len(heard) == 1)
            asking.ask("/a")
            await working.wait()
        await until(lambda: len(heard) == 2)
        assert set(heard) <= {"http.disconnect", "cancelled"}

    run(work, long)


def test_a_client_may_ask_anew_as_soon_as_it_is_answered_whatever_its_application_does_then() -> None:
    over = asyncio.Event()

    async def lingering(_scope: Scope, _receive: Receive, send: Send) -> None:
        await answer(send, b"done")
        await over.wait()

    async def work(listener: Listener) -> None:
        async with h2_client(listener) as asking:
            for _ in range(8):
                got = await asking.answered(asking.ask("/a"))
                assert (got.reset, got.body) == (None, b"done")
            got = await asking.answered(asking.ask("/a"))
            assert got.reset == ErrorCodes.REFUSED_STREAM
            over.set()
            await until(lambda: all(not each.tasks() for each in listener._connections))
            assert (await asking.answered(asking.ask("/a"))).body == b"done"

    run(work, lingering, HttpLimits(streams=4))


def test_what_a_request_that_was_taken_back_held_is_free_before_the_collector_looks() -> None:
    deaf = Deaf()

    async def work(listener: Listener) -> None:
        async with h2_client(listener) as asking:
            stream = asking.ask("/a")
            await deaf.is_working.wait()
            asking.machine.reset_stream(stream, ErrorCodes.CANCEL)
            asking.flush()
            await until(lambda: deaf.held[0]() is None)

    with without_collector():
        run(work, deaf)


def test_an_early_answer_tells_the_client_to_send_no_more() -> None:
    async def refuse(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await answer(send, b"too large", 413)

    async def work(listener: Listener) -> None:
        async with h2_client(listener) as asking:
            for _ in range(20):  # the connection's window is given back each time
                got = await asking.upload("/a", b"b" * MB)
                assert (got.status, got.body) == (413, b"too large")

    run(work, refuse)


def test_what_an_application_never_took_is_given_back_to_the_window() -> None:
    go = asyncio.Event()

    async def deaf(_scope: Scope, _receive: Receive, send: Send) -> None:
        await go.wait()
        go.clear()
        await answer(send, b"too large", 413)

    async def work(listener: Listener) -> None:
        window = HttpLimits().ahead_bytes
        async with h2_client(listener) as asking:
            for _ in range(3 * HttpLimits().window_bytes // window):
                stream = asking.ask("/a", "POST", more=True)
                while asking.machine.local_flow_control_window(stream) < window:
                    await asking.turn()
                assert asking.push(stream, b"b" * window, ends=False) == window
                (connection,) = await _connections(listener)
                await until(lambda: _exchange(connection).unacknowledged == window)  # noqa: B023
                go.set()
                assert (await asking.answered(stream)).status == 413
                await until(lambda: not connection.tasks())  # noqa: B023

    run(work, deaf)


def test_a_broken_application_ends_its_stream_alone(capfd: pytest.CaptureFixture[str]) -> None:
    async def broken(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["path"] == "/broken-stream":
            raise RuntimeError("boom")
        await answer(send, b"well")

    async def work(listener: Listener) -> None:
        async with h2_client(listener) as asking:
            first, second = asking.ask("/broken-stream"), asking.ask("/a")
            assert (await asking.answered(first)).reset == ErrorCodes.INTERNAL_ERROR
            assert (await asking.answered(second)).body == b"well"

    run(work, broken)
    assert "http_failed" in capfd.readouterr().err


def test_requests_that_are_not_served_are_told_so() -> None:
    async def work(listener: Listener) -> None:
        async with h2_client(listener) as asking:
            got = await asking.answered(asking.ask("nowhere"))
            assert (got.status, got.headers[b"content-type"]) == (400, b"application/json")
            many = tuple((b"a%d" % number, b"b") for number in range(200))
            assert (await asking.answered(asking.ask("/a", headers=many))).status == 431
            assert (await asking.answered(asking.ask("/a"))).status == 200

    run(work)


def test_a_body_that_comes_too_slowly_is_refused_and_the_connection_goes_on() -> None:
    async def work(listener: Listener) -> None:
        async with h2_client(listener) as asking:
            stream = asking.ask("/a", "POST", b"b", more=True)
            assert (await asking.answered(stream)).status == 408
            assert (await asking.answered(asking.ask("/a"))).status == 200

    run(work, limits=HttpLimits(body_s=0.05, least_bytes_s=1000))


def test_a_client_is_not_blamed_for_the_time_in_which_its_body_was_not_wanted() -> None:
    go = asyncio.Event()

    async def late(_scope: Scope, receive: Receive, send: Send) -> None:
        await go.wait()
        body, _ = await read_body(receive)
        await answer(send, str(len(body)).encode())

    async def work(listener: Listener) -> None:
        async with h2_client(listener) as asking:
            uploading = asyncio.ensure_future(asking.upload("/a", b"b" * MB))
            (connection,) = await _connections(listener)
            await until(lambda: _exchange(connection).was_held)
            go.set()
            assert (await uploading).body == b"1000000"

    run(work, late, HttpLimits(body_s=1.0))


async def _connections(listener: Listener) -> set[Connection]:
    await until(lambda: any(each.tasks() for each in listener._connections))
    return listener._connections


def _exchange(connection: Connection) -> Exchange:
    speaker = connection._wire.speaker  # type: ignore[union-attr]
    (exchange,) = speaker._exchanges.values()  # type: ignore[union-attr]
    assert isinstance(exchange, Exchange)
    return exchange


def test_a_listener_that_closes_answers_what_is_under_way_and_says_farewell() -> None:
    asked = asyncio.Event()

    async def slow(_scope: Scope, _receive: Receive, send: Send) -> None:
        asked.set()
        for _ in range(50):
            await asyncio.sleep(0)
        await answer(send, b"late")

    async def all_of_it() -> None:
        async with Listener(slow, "127.0.0.1:0", HttpLimits(grace_s=30)) as listener:
            made = h2_client(listener)
            asking = await made.__aenter__()
            stream = asking.ask("/a")
            await asked.wait()
        # The library's client takes nothing more after a farewell, so its bytes are looked at.
        got = await asking.reader.read()
        assert stream == 1
        assert frame(GOAWAY, 0, b"\x7f\xff\xff\xff\0\0\0\0") in got
        assert got.index(frame(DATA, 1, b"late", 0x1)) < got.index(frame(GOAWAY, 0, b"\0\0\0\1\0\0\0\0"))
        await made.__aexit__(None, None, None)

    asyncio.run(asyncio.wait_for(all_of_it(), 60))


def test_a_client_that_was_answered_and_idles_does_not_delay_the_end() -> None:
    async def all_of_it() -> None:
        async with Listener(_well, "127.0.0.1:0", HttpLimits(grace_s=3600)) as listener:
            made = h2_client(listener)
            asking = await made.__aenter__()
            assert (await asking.answered(asking.ask("/a"))).status == 200
        assert await asking.end() is not None
        await made.__aexit__(None, None, None)

    asyncio.run(asyncio.wait_for(all_of_it(), 60))


async def _well(_scope: Scope, _receive: Receive, send: Send) -> None:
    await answer(send, b"well")
