"""Runs what may take minutes in a thread that the end of the process does not wait for."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")


async def in_background(work: Callable[[], Answer]) -> Answer:
    """Do something that only reads, and return what it returns.

    ``asyncio.to_thread`` would hold up the end of the event loop, and of the process, until it is done.

    Raises:
        Exception: Whatever ``work`` raises.

    Cancel-safe: the thread goes on, and nobody hears of it.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Answer] = loop.create_future()

    def tell(answer: Answer | None, error: Exception | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(answer)  # type: ignore[arg-type]

    def run() -> None:
        answer, failure = None, None
        try:
            answer = work()
        except Exception as error:  # noqa: BLE001 - it is raised where the answer is awaited
            failure = error
        with contextlib.suppress(RuntimeError):  # the event loop has ended meanwhile
            loop.call_soon_threadsafe(tell, answer, failure)

    threading.Thread(target=run, name="background", daemon=True).start()
    return await done
