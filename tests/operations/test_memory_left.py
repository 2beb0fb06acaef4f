"""What is left is never more than anyone leaves, and its parts fit each other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.operations.meminfo import Meminfo
from gateway.operations.memory_left import GroupMemory, bounded

SIZES = st.integers(min_value=0, max_value=1 << 40)
MACHINES = st.builds(
    lambda total, left, cache, swap: Meminfo(
        total + 1, min(left, total + 1), min(cache, left, total + 1), swap
    ),
    *(SIZES, SIZES, SIZES, SIZES),
)
GROUPS = st.builds(
    lambda limit, used, idle: GroupMemory(limit + 1, used, min(idle, used)), SIZES, SIZES, SIZES
)


@given(MACHINES, st.lists(GROUPS, max_size=4))
def test_what_is_left_is_never_more_than_any_of_them_leaves(
    machine: Meminfo, groups: list[GroupMemory]
) -> None:
    memory = bounded(machine, tuple(groups))
    assert memory is not None
    lefts = [machine.available_bytes, *(group.available_bytes for group in groups)]
    totals = [machine.total_bytes, *(group.limit_bytes for group in groups)]
    assert memory.available_bytes == min(lefts)
    assert memory.total_bytes == min(totals) > 0
    assert 0 <= memory.page_cache_bytes <= memory.available_bytes <= memory.total_bytes
    assert memory.grouped == (min(totals) < machine.total_bytes)


def test_what_a_group_holds_idle_counts_as_free_but_never_beyond_the_limit() -> None:
    assert GroupMemory(100, 90, 30).available_bytes == 40
    assert GroupMemory(100, 150, 0).available_bytes == 0
    assert GroupMemory(100, 10, 50).available_bytes == 100


def test_a_group_tells_even_where_the_machine_does_not() -> None:
    memory = bounded(None, (GroupMemory(1000, 400, 0),))
    assert memory is not None
    assert (memory.total_bytes, memory.available_bytes, memory.grouped) == (1000, 600, True)
    assert memory.swap_used_bytes is None
    assert bounded(None, ()) is None
