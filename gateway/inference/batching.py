"""Which requests leave together, and when: work-conserving, earliest deadline first, fair.

``Batcher`` decides; it never waits and never runs anything. It has no clock:
callers pass ``now_s`` in and carry out what ``poll`` returns.
``gateway.inference.scheduler`` is that caller.

Rules (each a property in ``tests/inference/test_batching.py``):

1. An entry leaves exactly once: in a batch, expired, superseded or cancelled.
2. While a lane is free and an entry may run, a batch leaves at once.
3. Among entries that may leave and can be done in time, the earliest deadline goes first; what cannot be
   done in time goes only if there is nothing else, the latest deadline first. Else a queue that is longer
   than deadlines allow would spend its lanes on what is late when it is done.
4. No stream gets more than one quantum of rows ahead of another that waits.
5. A batch holds at most ``max_rows``, or one entry that has more, and no expired entry, and is cut where
   its expected end would pass its tightest deadline.
6. Of a latest-wins stream at most one entry waits; the newest stays.
7. Of an ordered stream at most one entry is away at a time, in arrival order.
8. An entry marked ``alone`` shares its batch with nobody.
9. Cancelling one entry changes nothing for any other.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from gateway.errors import Overloaded
from gateway.inference.cost import BatchCost

_MOST_IDLE_STREAMS = 4096


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Bounds of one model's queue.

    Attributes:
        max_rows: Most rows in one batch; at least 1.
        max_queued_rows: Rows the queue may hold; past this, ``Overloaded``.
    """

    max_rows: int
    max_queued_rows: int

    @property
    def quantum_rows(self) -> int:
        """Rows by which a stream may be ahead of another that waits."""
        return max(2, self.max_rows)


class Entry(NamedTuple):
    """One request's place in the queue.

    Attributes:
        id: Unique, rising with arrival.
        stream: Key of fairness, latest-wins and order.
        deadline_s: When it is worthless, in monotonic seconds.
        latest: A newer entry of the stream replaces it while it waits.
        ordered: Entries of the stream run one at a time.
        alone: It must not share a batch.
        rows: Rows that it takes of a batch; one that takes more than a batch holds goes alone.
        level: In which queue it waits, see ``levels``; one queue does not look at it.
    """

    id: int
    stream: str
    deadline_s: float
    latest: bool = False
    ordered: bool = False
    alone: bool = False
    rows: int = 1
    level: int = 0


class Polled(NamedTuple):
    """What the caller must now do.

    Attributes:
        batches: Entries to run together; one tuple per free lane used.
        expired: Entries to fail with ``DeadlineExceeded``.
    """

    batches: tuple[tuple[Entry, ...], ...] = ()
    expired: tuple[Entry, ...] = ()


_NOTHING = Polled()


class _Stream:
    """Share and order of one stream."""

    __slots__ = ("away", "queued", "served")

    def __init__(self, served: float) -> None:
        self.served = served
        self.queued: dict[int, Entry] = {}  # insertion order is arrival order
        self.away = 0


class Batcher:
    """The queue of one model."""

    def __init__(self, limits: BatchLimits, cost: BatchCost) -> None:
        self._limits = limits
        self._cost = cost
        self._entries: dict[int, Entry] = {}
        self._streams: dict[str, _Stream] = {}
        self._heap: list[tuple[float, int]] = []  # (deadline, id); entries gone are skipped
        self._floor = 0.0
        self._rows = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def rows(self) -> int:
        """Rows of what waits now."""
        return self._rows

    def add(self, entry: Entry) -> Entry | None:
        """Queue an entry; return the one that it supersedes, if any.

        Raises:
            Overloaded: The queue is full. Nothing was queued or superseded.
        """
        stream = self._streams.get(entry.stream)
        old = None
        if entry.latest and stream is not None:
            old = next((waiting for waiting in stream.queued.values() if waiting.latest), None)
        # A request that is larger than the whole queue is no reason to refuse it for ever.
        if old is None and self._rows and self._rows + entry.rows > self._limits.max_queued_rows:
            msg = f"{self._rows} rows queued, at most {self._limits.max_queued_rows}"
            raise Overloaded(msg)
        if old is not None and stream is not None:
            self._forget(old, stream)
        if stream is None:
            stream = self._streams[entry.stream] = _Stream(self._floor)
        elif not stream.queued:
            stream.served = max(stream.served, self._floor)
        stream.queued[entry.id] = entry
        self._entries[entry.id] = entry
        self._rows += entry.rows
        heapq.heappush(self._heap, (entry.deadline_s, entry.id))
        return old

    def put_back(self, entry: Entry) -> bool:
        """Queue again an entry that left in a batch; bounds do not apply, it was counted before.

        Returns:
            False if a newer one of its latest-wins stream waits already: nothing was queued.
        """
        stream = self._streams.setdefault(entry.stream, _Stream(self._floor))
        if entry.latest and any(waiting.latest for waiting in stream.queued.values()):
            return False
        stream.queued = {entry.id: entry, **stream.queued}
        self._entries[entry.id] = entry
        self._rows += entry.rows
        heapq.heappush(self._heap, (entry.deadline_s, entry.id))
        return True

    def cancel(self, entry_id: int) -> bool:
        """Forget an entry; False if it has already left."""
        entry = self._entries.get(entry_id)
        if entry is None:
            return False
        self._remove(entry)
        return True

    def returned(self, stream_name: str) -> None:
        """Note that an entry of this stream, given out in a batch, has ended or was put back."""
        stream = self._streams.get(stream_name)
        if stream is not None:
            stream.away = max(0, stream.away - 1)
            self._forget_idle(stream_name, stream)

    def poll(self, now_s: float, free_lanes: int) -> Polled:
        """Take out what is due at ``now_s``.

        Args:
            now_s: Monotonic seconds; never less than at the last call.
            free_lanes: Batches that can start right away.
        """
        expired = self._expire(now_s)
        if not self._entries or not free_lanes:
            return Polled(expired=expired) if expired else _NOTHING
        batches: list[tuple[Entry, ...]] = []
        while free_lanes and (batch := self._take_batch(now_s, free_lanes)):
            batches.append(batch)
            free_lanes -= 1
        return Polled(tuple(batches), expired)

    def next_wakeup_s(self) -> float | None:
        """Return when the next entry expires; None if nothing waits."""
        while self._heap and self._heap[0][1] not in self._entries:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _expire(self, now_s: float) -> tuple[Entry, ...]:
        expired: list[Entry] = []
        while (due_s := self.next_wakeup_s()) is not None and due_s <= now_s:
            entry = self._entries[heapq.heappop(self._heap)[1]]
            self._remove(entry)
            expired.append(entry)
        return tuple(expired)

    def _take_batch(self, now_s: float, free_lanes: int) -> tuple[Entry, ...]:
        """Take the next batch; empty if nothing may leave."""
        runnable = [s for s in self._streams.values() if s.queued and not _blocked(s)]
        if not runnable:
            return ()
        self._floor = max(self._floor, min(s.served for s in runnable))
        # Idle lanes share what waits: two small batches side by side end before one large one.
        room = min(self._limits.max_rows, -(-self._rows // free_lanes))
        fixed_s, per_row_s = self._cost.line()
        batch: list[Entry] = []
        passed: list[tuple[float, int]] = []
        late: tuple[float, int] | None = None
        tightest_s = float("inf")
        rows = 0
        while self._heap and rows < room:
            item = heapq.heappop(self._heap)
            entry = self._entries.get(item[1])
            if entry is None:
                continue
            end_s = now_s + fixed_s + per_row_s * (rows + entry.rows)
            if batch and rows + entry.rows > self._limits.max_rows:
                passed.append(item)
                continue
            if batch and end_s > min(tightest_s, entry.deadline_s):
                passed.append(item)
                break
            if not self._may_leave(entry, batch):
                passed.append(item)
                continue
            if not batch and end_s > entry.deadline_s:
                passed.append(item)
                late = item
                continue
            batch.append(entry)
            rows += entry.rows
            self._depart(entry)
            tightest_s = min(tightest_s, entry.deadline_s)
            if entry.alone:
                break
        if late is not None and not batch:
            passed.remove(late)
            entry = self._entries[late[1]]
            batch.append(entry)
            self._depart(entry)
        for item in passed:
            heapq.heappush(self._heap, item)
        return tuple(batch)

    def _may_leave(self, entry: Entry, batch: list[Entry]) -> bool:
        stream = self._streams[entry.stream]
        if stream.served - self._floor >= self._limits.quantum_rows:
            return False
        if entry.alone and batch:
            return False
        if not entry.ordered:
            return True
        return not stream.away and next(iter(stream.queued)) == entry.id

    def _depart(self, entry: Entry) -> None:
        stream = self._streams[entry.stream]
        self._forget(entry, stream)
        stream.served += entry.rows
        stream.away += 1

    def _remove(self, entry: Entry) -> None:
        stream = self._streams[entry.stream]
        self._forget(entry, stream)
        self._forget_idle(entry.stream, stream)

    def _forget(self, entry: Entry, stream: _Stream) -> None:
        del self._entries[entry.id]
        del stream.queued[entry.id]
        self._rows -= entry.rows

    def _forget_idle(self, name: str, stream: _Stream) -> None:
        if stream.queued or stream.away:
            return
        if stream.served <= self._floor or len(self._streams) > _MOST_IDLE_STREAMS:
            del self._streams[name]

    def queued(self) -> Iterable[Entry]:
        """Return what waits now, in order of arrival."""
        return tuple(self._entries.values())


def _blocked(stream: _Stream) -> bool:
    """Whether an ordered stream waits for its entry that is away."""
    head = next(iter(stream.queued.values()))
    return bool(stream.away and head.ordered)
