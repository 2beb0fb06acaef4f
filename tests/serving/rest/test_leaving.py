"""Work ends when its client leaves, whether our own server tells of that or any other lets it be received."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.serving.asgi import LEAVING, Message, Receive, Scope
from gateway.serving.http.inbox import Inbox
from gateway.serving.rest.bodies import ClientLeft
from gateway.serving.rest.leaving import while_there


class Request:
    """A request whose body has come; under our own server the scope says whom to ask."""

    def __init__(self, *, is_ours: bool) -> None:
        self.inbox = Inbox(asyncio.get_running_loop(), lambda _: None)
        self.inbox.end()
        self.receive: Receive = self.inbox.receive
        self.scope: Scope = {"type": "http", "extensions": {LEAVING: self.inbox} if is_ours else {}}
        self.ended: list[str] = []

    async def work(self, wait: Callable[[], Awaitable[object]]) -> str:
        try:
            await wait()
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        self.ended.append("done")
        return "answer"


def run(test: Callable[[Request], Awaitable[None]], *, is_ours: bool) -> None:
    async def within() -> None:
        before, request = asyncio.all_tasks(), Request(is_ours=is_ours)
        body: Message = await request.receive()
        assert not body["more_body"]
        await test(request)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before  # nobody watches any more

    asyncio.run(asyncio.wait_for(within(), 20))


@pytest.mark.parametrize("is_ours", [True, False])
def test_work_is_cancelled_once_its_client_leaves(is_ours: bool) -> None:
    async def test(request: Request) -> None:
        asyncio.get_running_loop().call_later(0.01, request.inbox.leave)
        with pytest.raises(ClientLeft):
            await while_there(request.scope, request.receive, request.work(asyncio.Event().wait))
        assert request.ended == ["cancelled"]

    run(test, is_ours=is_ours)


@pytest.mark.parametrize("is_ours", [True, False])
def test_work_for_who_has_left_already_is_not_finished(is_ours: bool) -> None:
    async def test(request: Request) -> None:
        request.inbox.leave()
        with pytest.raises(ClientLeft):
            await while_there(request.scope, request.receive, request.work(asyncio.Event().wait))
        assert "done" not in request.ended

    run(test, is_ours=is_ours)


@pytest.mark.parametrize("is_ours", [True, False])
def test_work_whose_client_waits_gives_its_answer(is_ours: bool) -> None:
    async def test(request: Request) -> None:
        work = request.work(lambda: asyncio.sleep(0.01))
        assert await while_there(request.scope, request.receive, work) == "answer"
        request.inbox.leave()  # nobody is to be told of that any more
        await asyncio.sleep(0)

    run(test, is_ours=is_ours)


@pytest.mark.parametrize("is_ours", [True, False])
def test_who_is_cancelled_otherwise_is_not_taken_for_a_client_that_left(is_ours: bool) -> None:
    async def test(request: Request) -> None:
        serving = asyncio.ensure_future(
            while_there(request.scope, request.receive, request.work(asyncio.Event().wait))
        )
        await asyncio.sleep(0.01)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        assert request.ended == ["cancelled"]

    run(test, is_ours=is_ours)
