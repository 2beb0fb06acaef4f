"""The REST door behind a real socket, in a loop of its own, for clients that wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from gateway.operations.exposition import Exposition
from gateway.operations.health import Health
from gateway.serving.app import Sources, StatusDoor
from gateway.serving.asgi import Application
from gateway.serving.doors import Doors
from gateway.serving.listener import Listener
from tests.serving.rest.rest_house import RestHouse

_T = TypeVar("_T")
PATIENCE_S: Final = 60.0


@dataclass(frozen=True)
class Served:
    """A door that listens.

    Attributes:
        address: HOST:PORT.
        house: What stands behind it; its loop is not the test's.
        loop: The door's.
    """

    address: str
    house: RestHouse
    loop: asyncio.AbstractEventLoop

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def within(self, work: Callable[[], _T]) -> _T:
        """Do something in the door's loop, and return what it gave."""

        async def run() -> _T:
            return work()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(PATIENCE_S)

    def wait(self, event: Callable[[RestHouse], asyncio.Event]) -> None:
        """Wait until an event of the house is set."""

        async def run() -> None:
            await event(self.house).wait()

        asyncio.run_coroutine_threadsafe(run(), self.loop).result(PATIENCE_S)


def both_doors(house: RestHouse) -> Application:
    """Return REST and status as one application, as the daemon serves them."""
    health = Health(30.0)
    exposition = Exposition(house.metrics)
    return Doors(StatusDoor(Sources(lambda: health.judge(0.0), exposition.render, dict)), house.app)


@contextmanager
def served(**settings: Any) -> Iterator[Served]:
    """Serve a house until the block is left."""
    loop = asyncio.new_event_loop()
    opened: list[Served] = []
    ready, ends = threading.Event(), asyncio.Event()

    async def run() -> None:
        house = RestHouse(**settings)
        async with Listener(both_doors(house), "127.0.0.1:0") as listener:
            opened.append(Served(listener.address, house, loop))
            ready.set()
            await ends.wait()

    def serve() -> None:
        try:
            loop.run_until_complete(run())
        finally:
            ready.set()
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    thread = threading.Thread(target=serve, name="rest-door")
    thread.start()
    try:
        assert ready.wait(PATIENCE_S)
        yield opened[0]
    finally:
        loop.call_soon_threadsafe(ends.set)
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
