"""Loads a model with less weight than the lanes that serve meanwhile.

Linux weighs threads one by one, and only root may take politeness back: so a
thread of its own loads, and the one that will serve waits for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from gateway.operations.gentle import give_way

T = TypeVar("T")


def politely(load: Callable[[], T], politeness: int, *, threads: int) -> T:
    """Return what ``load`` returns, or raise what it raises.

    Args:
        load: Loads the model.
        politeness: Nice value of the load, 0 to 19; that of the calling thread if it gives way further.
        threads: Threads inside one inference: the runtime's own would inherit politeness for good, so a
            model that has some is loaded by the calling thread.
    """
    if threads > 1:
        return load()
    loaded: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        give_way(politeness)
        try:
            loaded.append(load())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            errors.append(error)

    thread = threading.Thread(target=work, name="load")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return loaded[0]
