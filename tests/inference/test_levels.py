"""The rules of inference.levels: a lower level goes first, and keeps nobody from what it does not use."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.errors import Overloaded
from gateway.inference.batching import Batcher, BatchLimits, Entry
from gateway.inference.cost import BatchCost
from gateway.inference.levels import Levels

LEVELS = (-2, 0, 1, 9)


class LevelsMachine(RuleBasedStateMachine):
    """Does at random what schedulers do, with one ``Batcher`` a level beside it."""

    @initialize(max_rows=st.integers(1, 4), max_queued_rows=st.integers(1, 8))
    def start(self, max_rows: int, max_queued_rows: int) -> None:
        limits, cost = BatchLimits(max_rows, max_queued_rows), BatchCost()
        self.levels = Levels(limits, cost)
        self.apart = {level: Batcher(limits, cost) for level in LEVELS}
        self.away: list[Entry] = []
        self.now_s = 0.0
        self.ids = 0

    @rule(
        level=st.sampled_from(LEVELS),
        stream=st.sampled_from(["a", "b", "latest", "ordered"]),
        patience_s=st.sampled_from([0.01, 1.0, 2.0]),
        rows=st.sampled_from([1, 1, 2, 5]),
    )
    def add(self, level: int, stream: str, patience_s: float, rows: int) -> None:
        ordered = stream == "ordered"
        entry = Entry(
            self.ids,
            f"{stream}{level}",
            self.now_s + patience_s,
            stream == "latest",
            ordered,
            rows=rows,
            level=level,
        )
        self.ids += 1
        try:
            expected = self.apart[level].add(entry)
        except Overloaded:
            with pytest.raises(Overloaded):  # rule 3
                self.levels.add(entry)
            return
        assert self.levels.add(entry) == expected

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if self.ids:
            entry_id = data.draw(st.integers(0, self.ids - 1))
            expected = any(queue.cancel(entry_id) for queue in self.apart.values())
            assert self.levels.cancel(entry_id) is expected

    @rule(later_s=st.sampled_from([0.0, 0.005, 1.5]), lanes=st.integers(0, 3))
    def poll(self, later_s: float, lanes: int) -> None:
        self.now_s += later_s
        polled = self.levels.poll(self.now_s, lanes)
        left = lanes
        batches: list[tuple[Entry, ...]] = []
        expired: set[int] = set()
        for queue in self.apart.values():  # each level by itself, with the lanes that are left to it
            own = queue.poll(self.now_s, left)
            left -= len(own.batches)
            batches += own.batches
            expired |= {entry.id for entry in own.expired}
        assert list(polled.batches) == batches  # rules 1, 2 and 3
        assert {entry.id for entry in polled.expired} == expired
        assert all(len({entry.level for entry in batch}) == 1 for batch in batches)
        self.away += [entry for batch in batches for entry in batch]

    @rule(again=st.booleans())
    def give_back(self, again: bool) -> None:
        if self.away:
            entry = self.away.pop(0)
            for queue in (self.levels, self.apart[entry.level]):
                queue.returned(entry.stream)
            if again:
                assert self.levels.put_back(entry) == self.apart[entry.level].put_back(entry)

    @invariant()
    def tells_of_all(self) -> None:
        if not hasattr(self, "levels"):
            return
        queues = self.apart.values()
        assert len(self.levels) == sum(map(len, queues))
        assert self.levels.rows == sum(entry.rows for entry in self.levels.queued())
        assert list(self.levels.queued()) == [entry for queue in queues for entry in queue.queued()]
        wakeups = [due_s for queue in queues if (due_s := queue.next_wakeup_s()) is not None]
        assert self.levels.next_wakeup_s() == min(wakeups, default=None)


LevelsMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestLevels = LevelsMachine.TestCase


def test_who_fills_a_level_keeps_nobody_out_of_another() -> None:
    levels = Levels(BatchLimits(2, 3), BatchCost())
    for number in range(3):
        levels.add(Entry(number, "flood", 10.0, level=1))
    with pytest.raises(Overloaded):
        levels.add(Entry(3, "flood", 10.0, level=1))
    levels.add(Entry(4, "camera", 10.0))
    assert [entry.id for (entry,) in levels.poll(0.0, 1).batches] == [4]


def test_lanes_that_the_first_level_cannot_use_go_to_the_next() -> None:
    levels = Levels(BatchLimits(1, 8), BatchCost())
    for number in range(2):
        levels.add(Entry(number, "sequence", 10.0, ordered=True))
    levels.add(Entry(2, "later", 1.0, level=3))
    assert [entry.id for (entry,) in levels.poll(0.0, 2).batches] == [0, 2]
    assert not levels.poll(0.0, 1).batches  # the sequence waits for its member that is away
