"""The rules of inference.batching, as one state machine."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.errors import Overloaded
from gateway.inference.batching import Batcher, BatchLimits, Entry
from gateway.inference.cost import BatchCost

LATEST, QUEUED, ORDERED = "latest", "queued", "ordered"
STREAMS = {"a": LATEST, "b": LATEST, "c": QUEUED, "d": QUEUED, "e": ORDERED, "f": ORDERED}


class BatcherMachine(RuleBasedStateMachine):
    """Adds, cancels, polls and returns at random while a model of the queue looks on."""

    @initialize(
        max_rows=st.integers(1, 4),
        max_queued_rows=st.integers(1, 12),
        row_s=st.sampled_from([0.0, 0.002, 0.5]),
    )
    def start(self, max_rows: int, max_queued_rows: int, row_s: float) -> None:
        self.limits = BatchLimits(max_rows, max_queued_rows)
        self.cost = BatchCost()
        if row_s:
            self.cost.observe(1, row_s)
        self.row_s = row_s
        self.batcher = Batcher(self.limits, self.cost)
        self.waiting: dict[int, Entry] = {}
        self.away: dict[int, Entry] = {}
        self.left: set[int] = set()
        self.now_s = 0.0
        self.ids = 0

    @rule(
        stream=st.sampled_from(sorted(STREAMS)),
        patience_s=st.sampled_from([0.001, 0.01, 1.0, 2.0]),
        alone=st.booleans(),
        rows=st.sampled_from([1, 1, 1, 2, 3, 5]),
    )
    def add(self, stream: str, patience_s: float, alone: bool, rows: int) -> None:
        kind = STREAMS[stream]
        entry = Entry(
            self.ids,
            stream,
            self.now_s + patience_s,
            kind == LATEST,
            kind == ORDERED,
            alone and kind == QUEUED,
            rows,
        )
        self.ids += 1
        older = [e for e in self.waiting.values() if e.stream == stream and entry.latest]
        held = sum(each.rows for each in self.waiting.values())
        if not older and held and held + rows > self.limits.max_queued_rows:
            with pytest.raises(Overloaded):
                self.batcher.add(entry)
            return
        superseded = self.batcher.add(entry)
        assert superseded == (older[0] if older else None)  # rule 6
        if superseded:
            del self.waiting[superseded.id]
            self._leave(superseded)
        self.waiting[entry.id] = entry

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if not self.ids:
            return
        entry_id = data.draw(st.integers(0, self.ids - 1))
        assert self.batcher.cancel(entry_id) == (entry_id in self.waiting)  # rule 9, with the invariant
        if entry := self.waiting.pop(entry_id, None):
            self._leave(entry)

    @rule(data=st.data(), retry=st.booleans())
    def come_back(self, data: st.DataObject, retry: bool) -> None:
        if not self.away:
            return
        entry = self.away.pop(data.draw(st.sampled_from(sorted(self.away))))
        self.batcher.returned(entry.stream)
        if retry:
            newer = [e for e in self.waiting.values() if e.stream == entry.stream and entry.latest]
            assert self.batcher.put_back(entry) == (not newer)  # rule 6
            if not newer:
                self.left.discard(entry.id)
                self.waiting[entry.id] = entry

    @rule(step_s=st.sampled_from([0.0, 0.0005, 0.004, 1.5]), free=st.integers(0, 3))
    def poll(self, step_s: float, free: int) -> None:
        self.now_s += step_s
        polled = self.batcher.poll(self.now_s, free)
        for entry in polled.expired:
            assert entry.deadline_s <= self.now_s
            assert self.waiting.pop(entry.id) == entry
            self._leave(entry)
        assert len(polled.batches) <= free
        for batch in polled.batches:
            self._check_batch(batch)
        assert all(e.deadline_s > self.now_s for e in self.waiting.values())
        if len(polled.batches) < free:  # rule 2: what stays could not run
            assert not [e for e in self.waiting.values() if self._runnable(e)]

    def _check_batch(self, batch: tuple[Entry, ...]) -> None:
        rows = sum(entry.rows for entry in batch)
        assert len(batch) == 1 or 0 < rows <= self.limits.max_rows  # rule 5
        for entry in batch:
            assert entry.deadline_s > self.now_s
            assert self._runnable(entry)  # rule 7
            assert self.waiting.pop(entry.id) == entry
            self.away[entry.id] = entry
            self._leave(entry)
            assert not entry.alone or len(batch) == 1  # rule 8
        if len(batch) > 1:
            end_s = self.now_s + self.row_s * rows
            assert end_s <= min(e.deadline_s for e in batch) + 1e-9  # rule 5

    def _runnable(self, entry: Entry) -> bool:
        if not entry.ordered:
            return True
        if any(e.stream == entry.stream for e in self.away.values()):
            return False
        mine = [e for e in self.batcher.queued() if e.stream == entry.stream]
        return not mine or entry.id not in {e.id for e in mine} or self._head(entry.stream) == entry.id

    def _head(self, stream: str) -> int:
        return next(iter(self.batcher._streams[stream].queued))

    def _leave(self, entry: Entry) -> None:
        assert entry.id not in self.left  # rule 1
        self.left.add(entry.id)

    @invariant()
    def same_content(self) -> None:
        if hasattr(self, "batcher"):
            assert {e.id for e in self.batcher.queued()} == set(self.waiting)
            assert self.batcher.rows == sum(e.rows for e in self.waiting.values())

    @invariant()
    def wakes_for_the_first_deadline(self) -> None:
        if hasattr(self, "batcher"):
            expected = min((e.deadline_s for e in self.waiting.values()), default=None)
            assert self.batcher.next_wakeup_s() == expected


BatcherMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestBatcher = BatcherMachine.TestCase


def test_earliest_deadline_leaves_first_whatever_came_first() -> None:
    batcher = Batcher(BatchLimits(1, 10), BatchCost())
    for number, deadline_s in enumerate([3.0, 1.0, 2.0]):
        batcher.add(Entry(number, f"s{number}", deadline_s))

    order = [batcher.poll(0.0, 1).batches[0][0].id for _ in range(3)]

    assert order == [1, 2, 0]


def test_a_stream_that_floods_gets_no_more_than_its_share() -> None:
    batcher = Batcher(BatchLimits(1, 10_000), BatchCost())
    served: Counter[str] = Counter()
    number = 0
    for turn in range(400):
        for stream, copies in (("loud", 10), ("quiet", 1)):
            for _ in range(copies):  # the loud one's deadlines are always the earlier ones
                batcher.add(Entry(number, stream, 1000.0 + turn + (0.5 if stream == "quiet" else 0.0)))
                number += 1
        (batch,) = batcher.poll(float(turn) / 1e6, 1).batches
        served[batch[0].stream] += 1
        batcher.returned(batch[0].stream)

    assert abs(served["loud"] - served["quiet"]) <= 2


def test_four_equal_latest_wins_streams_share_equally() -> None:
    batcher = Batcher(BatchLimits(2, 64), BatchCost())
    served: Counter[str] = Counter()
    number = 0
    for turn in range(500):
        for stream in ("w", "x", "y", "z"):
            for _ in range(3):
                batcher.add(Entry(number, stream, turn * 0.001 + 1.0, latest=True))
                number += 1
        for batch in batcher.poll(turn * 0.001, 1).batches:
            for entry in batch:
                served[entry.stream] += 1
                batcher.returned(entry.stream)

    assert max(served.values()) - min(served.values()) <= 2


def test_idle_lanes_share_what_waits() -> None:
    batcher = Batcher(BatchLimits(8, 64), BatchCost())
    for number in range(4):
        batcher.add(Entry(number, f"s{number}", 10.0))

    batches = batcher.poll(0.0, 2).batches

    assert [len(batch) for batch in batches] == [2, 2]


def test_streams_that_went_away_are_forgotten() -> None:
    batcher = Batcher(BatchLimits(1, 64), BatchCost())
    for number in range(20_000):
        batcher.add(Entry(number, f"s{number}", 1e9))
        (batch,) = batcher.poll(0.0, 1).batches
        batcher.returned(batch[0].stream)

    assert len(batcher._streams) <= 4097


def test_a_queue_longer_than_its_deadlines_allow_still_answers_in_time_at_the_rate_of_its_lane() -> None:
    cost = BatchCost()
    cost.observe(1, 0.04)
    batcher = Batcher(BatchLimits(1, 1000), cost)
    now_s, answered, late = 0.0, 0, 0
    for number in range(1000):  # four times what one lane can do, for ten seconds
        batcher.add(Entry(number, f"s{number % 3}", now_s + 0.4))
        now_s += 0.01
        if number % 4 == 0:
            for batch in batcher.poll(now_s, 1).batches:
                for entry in batch:
                    answered += entry.deadline_s >= now_s + 0.04
                    late += entry.deadline_s < now_s + 0.04
                    batcher.returned(entry.stream)
    assert answered == 250
    assert late == 0


def test_what_cannot_be_done_in_time_is_tried_where_nothing_else_waits() -> None:
    cost = BatchCost()
    cost.observe(1, 0.5)
    batcher = Batcher(BatchLimits(4, 100), cost)
    batcher.add(Entry(1, "a", 0.1))
    batcher.add(Entry(2, "b", 0.2))
    assert [[entry.id for entry in batch] for batch in batcher.poll(0.0, 1).batches] == [[2]]
    assert [[entry.id for entry in batch] for batch in batcher.poll(0.0, 1).batches] == [[1]]
    assert len(batcher) == 0
