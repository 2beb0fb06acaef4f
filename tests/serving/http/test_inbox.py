"""The body on its way to the application: whole, in order, and ended by a leave."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from gateway.serving.http.inbox import Inbox


@given(st.lists(st.binary(min_size=1, max_size=9), max_size=6), st.lists(st.booleans(), max_size=9))
def test_what_is_put_in_comes_out_once_and_in_order(pieces: list[bytes], pauses: list[bool]) -> None:
    async def run() -> None:
        taken: list[int] = []
        inbox = Inbox(asyncio.get_running_loop(), taken.append)
        got = b""

        async def take() -> None:
            nonlocal got
            while True:
                message = await inbox.receive()
                got += message["body"]
                if not message["more_body"]:
                    return

        taking = asyncio.ensure_future(take())
        for number, piece in enumerate(pieces):
            inbox.put(piece)
            if number < len(pauses) and pauses[number]:
                await asyncio.sleep(0)
        inbox.end()
        await taking
        assert got == b"".join(pieces)
        assert sum(taken) == len(got)
        assert inbox.held_bytes == 0

    asyncio.run(run())


def test_who_waits_for_the_next_message_hears_that_the_client_is_gone() -> None:
    async def run() -> None:
        inbox = Inbox(asyncio.get_running_loop(), lambda _: None)
        inbox.end()
        assert (await inbox.receive()) == {"type": "http.request", "body": b"", "more_body": False}
        waiting = asyncio.ensure_future(inbox.receive())
        await asyncio.sleep(0)
        assert not waiting.done()
        inbox.leave()
        assert (await waiting) == {"type": "http.disconnect"}
        assert (await inbox.receive()) == {"type": "http.disconnect"}

    asyncio.run(run())


def test_what_came_before_the_client_left_is_given_first() -> None:
    async def run() -> None:
        inbox = Inbox(asyncio.get_running_loop(), lambda _: None)
        inbox.put(b"a")
        inbox.leave()
        assert (await inbox.receive())["body"] == b"a"
        assert (await inbox.receive())["type"] == "http.disconnect"

    asyncio.run(run())


def test_a_wait_that_is_cancelled_loses_nothing() -> None:
    async def run() -> None:
        inbox = Inbox(asyncio.get_running_loop(), lambda _: None)
        waiting = asyncio.ensure_future(inbox.receive())
        await asyncio.sleep(0)
        inbox.put(b"a")
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert (await inbox.receive())["body"] == b"a"

    asyncio.run(run())


def test_an_application_watches_its_client_by_waiting_or_by_having_itself_told() -> None:
    async def run() -> None:
        inbox = Inbox(asyncio.get_running_loop(), lambda _: None)
        inbox.tell(lambda: None)
        watched = [inbox.is_watched]  # not before it has the whole body
        inbox.end()
        await inbox.receive()
        watched.append(inbox.is_watched)
        inbox.tell(None)
        watched.append(inbox.is_watched)
        waiting = asyncio.ensure_future(inbox.receive())
        await asyncio.sleep(0)
        watched.append(inbox.is_watched)
        assert watched == [False, True, False, True]
        waiting.cancel()

    asyncio.run(run())


def test_who_is_to_be_told_hears_once_that_the_client_has_left() -> None:
    async def run() -> None:
        inbox = Inbox(asyncio.get_running_loop(), lambda _: None)
        told: list[str] = []
        inbox.tell(lambda: told.append("never"))
        inbox.tell(None)
        inbox.tell(lambda: told.append("left"))
        inbox.end()
        assert told == []
        inbox.leave()
        inbox.leave()
        assert told == ["left"]
        inbox.tell(lambda: told.append("had left"))
        assert told == ["left", "had left"]

    asyncio.run(run())
