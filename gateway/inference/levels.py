"""The queues of one model, one for each level in use: what is of a lower number leaves first.

Level 0 is that of the board's own frames; what may come before them is said by the
configuration of the doors. Stands where one ``Batcher`` would. Pure.

Rules (each a property in ``tests/inference/test_levels.py``):

1. No batch leaves while an entry of a lower level could leave in its place; batches are of one level each.
2. A lane that no entry of a lower level can use is not kept from a higher one.
3. Within a level everything is as one ``Batcher`` has it, its bound as well: whoever fills one level keeps
   nobody out of another.

Entries of an ordered stream keep to one level: order is kept within one queue.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.inference.batching import Batcher, BatchLimits, Entry, Polled
from gateway.inference.cost import BatchCost


class Levels:
    """Decides as ``Batcher`` does; see there for what each method takes, gives and raises."""

    def __init__(self, limits: BatchLimits, cost: BatchCost) -> None:
        self._limits = limits
        self._cost = cost
        self._usual = Batcher(limits, cost)
        # In the order of levels; they stay once they are there: doors know few levels.
        self._all: dict[int, Batcher] = {0: self._usual}

    def __len__(self) -> int:
        return len(self._usual) if len(self._all) == 1 else sum(map(len, self._all.values()))

    @property
    def rows(self) -> int:
        """Rows of what waits now."""
        return sum(queue.rows for queue in self._all.values())

    def add(self, entry: Entry) -> Entry | None:
        """Queue an entry in its level; return the one there that it supersedes, if any.

        Raises:
            Overloaded: Its level is full.
        """
        return (self._of(entry.level) if entry.level else self._usual).add(entry)

    def put_back(self, entry: Entry) -> bool:
        """Queue again an entry that left in a batch; False if a newer one stands in its place."""
        return self._of(entry.level).put_back(entry)

    def cancel(self, entry_id: int) -> bool:
        """Forget an entry; False if it has already left."""
        return any(queue.cancel(entry_id) for queue in self._all.values())

    def returned(self, stream_name: str) -> None:
        """Note that an entry of this stream, given out in a batch, has ended or was put back."""
        for queue in self._all.values():
            queue.returned(stream_name)

    def poll(self, now_s: float, free_lanes: int) -> Polled:
        """Take out what is due at ``now_s``: the first levels have the first lanes."""
        if len(self._all) == 1:
            return self._usual.poll(now_s, free_lanes)
        batches: list[tuple[Entry, ...]] = []
        expired: list[Entry] = []
        for queue in self._all.values():
            polled = queue.poll(now_s, free_lanes - len(batches))
            batches += polled.batches
            expired += polled.expired
        return Polled(tuple(batches), tuple(expired))

    def next_wakeup_s(self) -> float | None:
        """Return when the next entry expires; None if nothing waits."""
        if len(self._all) == 1:
            return self._usual.next_wakeup_s()
        found = (queue.next_wakeup_s() for queue in self._all.values())
        return min((due_s for due_s in found if due_s is not None), default=None)

    def queued(self) -> Iterable[Entry]:
        """Return what waits now, level by level and there in order of arrival."""
        return tuple(entry for queue in self._all.values() for entry in queue.queued())

    def _of(self, level: int) -> Batcher:
        queue = self._all.get(level)
        if queue is None:
            self._all[level] = queue = Batcher(self._limits, self._cost)
            self._all = dict(sorted(self._all.items()))
        return queue
