"""Makes a page that costs much once for all who wait for it, and leaves most of the time to others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Generic, TypeVar

Page = TypeVar("Page")
# Time that is left to others for each that a page took: pages have a fifth of the loop at most.
_REST: Final = 4.0


class CostlyPages(Generic[Page]):
    """Pages by their keys; what is handed out was always made after it was asked for."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._asking = 0
        self._made: dict[str, tuple[float, Page]] = {}
        self._rested_s = 0.0

    async def get(self, key: str, make: Callable[[], Page]) -> Page:
        """Return a page as of now or later. Cancel-safe.

        Args:
            key: Which page it is, one of a few.
            make: Makes it, and may raise what it likes.
        """
        now_s = asyncio.get_running_loop().time
        asked_s = now_s()
        self._asking += 1
        try:
            async with self._turn:
                made = self._made.get(key)
                if made is not None and made[0] > asked_s:
                    return made[1]
                if (rest_s := self._rested_s - now_s()) > 0.0:
                    await asyncio.sleep(rest_s)
                begun_s = now_s()
                try:
                    page = make()
                finally:
                    ended_s = now_s()
                    self._rested_s = ended_s + _REST * (ended_s - begun_s)
                self._made[key] = begun_s, page
                return page
        finally:
            self._asking -= 1
            if not self._asking:
                self._made.clear()
