"""Answers over HTTP/2 that come before the whole request: even who reads nothing while it sends gets them."""

from __future__ import annotations

import asyncio
from typing import Any

from h2.errors import ErrorCodes

from gateway.serving.asgi import Receive, Scope, Send
from gateway.serving.http.limits import HttpLimits
from gateway.serving.listener import Listener
from tests.serving.http.h2_client import h2_client
from tests.serving.http.world import answer, run, until

MB = 1_000_000


async def _refuse(_scope: Scope, _receive: Receive, send: Send) -> None:
    await answer(send, b"no such page", 404)


def test_a_client_that_looks_at_no_answer_before_its_body_is_sent_may_send_it_all() -> None:
    async def work(listener: Listener) -> None:
        async with h2_client(listener) as asking:
            body = b"b" * (3 * MB)
            stream = asking.ask("/a", "POST", more=True)
            sent = 0
            while (sent := sent + asking.push(stream, body[sent:], ends=True)) < len(body):
                await asking.turn()
            got = await asking.answered(stream)
            assert (got.status, got.body, got.reset) == (404, b"no such page", None)
            assert (await asking.answered(asking.ask("/b"))).status == 404

    run(work, _refuse, HttpLimits(body_s=60.0))


def test_a_client_that_sends_on_for_long_is_told_to_stop() -> None:
    async def work(listener: Listener) -> None:
        async with h2_client(listener) as asking:
            stream = asking.ask("/a", "POST", b"b", more=True)
            got = await asking.answered(stream)
            while got.reset is None:
                await asking.turn()
            assert (got.status, got.reset) == (404, ErrorCodes.NO_ERROR)
            assert (await asking.answered(asking.ask("/b"))).status == 404

    run(work, _refuse, HttpLimits(body_s=0.05))


def test_nothing_waits_for_a_client_that_is_gone() -> None:
    def waiting() -> list[asyncio.TimerHandle]:
        loop: Any = asyncio.get_running_loop()
        return [
            handle
            for handle in loop._scheduled
            if not handle.cancelled() and handle.when() > loop.time() + 600
        ]

    async def work(listener: Listener) -> None:
        async with h2_client(listener) as asking:
            assert (await asking.answered(asking.ask("/a", "POST", b"b", more=True))).status == 404
            assert len(waiting()) == 1
        await until(lambda: not listener._connections)
        assert waiting() == []

    run(work, _refuse, HttpLimits(body_s=3600.0))
