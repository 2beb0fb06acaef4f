"""A crowd that reads a costly page gets one made after it asked, and most of the time is left to others."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from gateway.serving.costly_pages import CostlyPages


class Clock(asyncio.SelectorEventLoop):
    """A loop whose time passes while pages are made, and where it would wait."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def time(self) -> float:
        return self.now_s

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self.now_s = max(self.now_s, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


class Press:
    """Makes numbered pages, each in a second of its loop's time."""

    def __init__(self) -> None:
        self.loop = Clock()
        self.pages = CostlyPages[str]()
        self.made: list[tuple[str, float]] = []

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        try:
            return self.loop.run_until_complete(work)
        finally:
            self.loop.close()

    async def get(self, key: str = "page") -> str:
        return await self.pages.get(key, lambda: self._make(key))

    def _make(self, key: str) -> str:
        self.made.append((key, self.loop.now_s))
        self.loop.now_s += 1.0
        if key == "broken":
            raise ValueError
        return f"{key} {len(self.made)}"


def test_a_page_is_made_at_once_where_none_was_made_lately() -> None:
    async def work() -> None:
        await press.get()
        await asyncio.sleep(4.0)
        await press.get()

    press = Press()
    press.run(work())
    assert press.made == [("page", 0.0), ("page", 5.0)]


def test_all_who_ask_while_a_page_cannot_be_made_get_the_next() -> None:
    async def work() -> list[str]:
        return await asyncio.gather(*(press.get() for _ in range(200)))

    press = Press()
    assert press.run(work()) == ["page 1"] + ["page 2"] * 199
    assert press.made == [("page", 0.0), ("page", 5.0)]


def test_no_page_is_older_than_who_gets_it() -> None:
    async def work() -> None:
        for _ in range(5):
            asked_s = press.loop.now_s
            number = int((await press.get()).split()[1])
            assert press.made[number - 1][1] >= asked_s

    press = Press()
    press.run(work())
    assert [at_s for _, at_s in press.made] == [0.0, 5.0, 10.0, 15.0, 20.0]


def test_pages_of_other_keys_take_their_turns() -> None:
    async def work() -> list[str]:
        return await asyncio.gather(*(press.get(key) for key in "abab"))

    press = Press()
    assert press.run(work()) == ["a 1", "b 2", "a 3", "b 2"]
    assert press.made == [("a", 0.0), ("b", 5.0), ("a", 10.0)]


def test_a_page_that_fails_does_so_for_each_who_asks_and_no_more_often_than_others() -> None:
    async def work() -> list[Any]:
        asking = (press.get("broken"), press.get("broken"), press.get())
        return list(await asyncio.gather(*asking, return_exceptions=True))

    press = Press()
    first, second, third = press.run(work())
    assert isinstance(first, ValueError)
    assert isinstance(second, ValueError)
    assert third == "page 3"
    assert [at_s for _, at_s in press.made] == [0.0, 5.0, 10.0]


def test_who_leaves_takes_nobodys_page_along_and_nothing_is_kept() -> None:
    async def work() -> str:
        await press.get()
        leaving = asyncio.ensure_future(press.get())
        staying = asyncio.ensure_future(press.get())
        await asyncio.sleep(1.0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        return await staying

    press = Press()
    assert press.run(work()) == "page 2"
    assert press.pages._made == {}
