"""The machine's memory is read from lines that may hold anything; swap never counts as memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.operations.meminfo import parse_meminfo

NANO = """MemTotal:        4059712 kB
MemFree:          403456 kB
MemAvailable:    2435824 kB
Buffers:           61440 kB
Cached:          2097152 kB
Shmem:            102400 kB
SwapTotal:       2029856 kB
SwapFree:        1029856 kB
NvMapMemFree:          0 kB
NvMapMemUsed:     640512 kB
HugePages_Total:       0
"""
NUMBERS = st.one_of(st.integers(min_value=0, max_value=10**14), st.integers())
NAMES = st.sampled_from(
    ["MemTotal", "MemAvailable", "Cached", "Buffers", "Shmem", "SwapTotal", "SwapFree", "x"]
)
LINES = st.lists(st.builds("{}: {} kB".format, NAMES, NUMBERS)).map("\n".join)


def test_a_nanos_memory_is_what_it_says_and_its_zram_swap_adds_nothing() -> None:
    memory = parse_meminfo(NANO)
    assert memory is not None
    assert memory.total_bytes == 4059712 * 1024
    assert memory.available_bytes == 2435824 * 1024
    assert memory.page_cache_bytes == (2097152 + 61440 - 102400) * 1024
    assert memory.swap_used_bytes == 1_000_000 * 1024
    assert memory.gpu_used_bytes == 640512 * 1024
    without = parse_meminfo(NANO.replace("SwapTotal:       2029856", "SwapTotal:       0"))
    assert without is not None
    assert (without.total_bytes, without.available_bytes) == (memory.total_bytes, memory.available_bytes)


def test_a_file_without_what_counts_is_no_answer() -> None:
    assert parse_meminfo("") is None
    assert parse_meminfo("MemTotal: 4000 kB\nMemFree: 100 kB\n") is None
    assert parse_meminfo("MemTotal: 0 kB\nMemAvailable: 0 kB\n") is None


@given(st.one_of(st.text(), LINES))
def test_any_text_gives_numbers_that_fit_each_other_or_none(text: str) -> None:
    memory = parse_meminfo(text)
    if memory is not None:
        assert 0 <= memory.page_cache_bytes <= memory.available_bytes <= memory.total_bytes
        assert memory.total_bytes > 0
        assert memory.swap_used_bytes >= 0
