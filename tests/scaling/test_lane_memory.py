"""What processes cost is read from the best list there is, of real processes too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gateway.scaling.lane_memory import (
    ProcessMemory,
    gpu_processes,
    lane_memory,
    parse_mappings,
    parse_pages,
    process_memory,
)
from tests.scaling import trees

PAGE = os.sysconf("SC_PAGE_SIZE")
ROLLUP = """55-7f r-xp 0 00:00 0 [rollup]
Rss: 900 kB
Pss: 500 kB
Pss_Dirty: 9 kB
Private_Clean: 100 kB
Private_Dirty: 200 kB
SwapPss: 7 kB"""
LINES = st.lists(
    st.builds("{}: {} kB".format, st.sampled_from(["Pss", "Private_Dirty", "Rss", "é"]), st.integers())
).map("\n".join)


def test_the_sum_is_taken_where_the_kernel_makes_one(tmp_path: Path) -> None:
    trees.put(tmp_path, "proc/7/smaps_rollup", ROLLUP)
    assert process_memory(7, {7: 42}, tmp_path) == ProcessMemory(500 * 1024, 300 * 1024, 42, "smaps_rollup")


def test_an_older_kernels_list_is_added_up(tmp_path: Path) -> None:
    trees.put(tmp_path, "proc/7/smaps", f"{ROLLUP}\n{ROLLUP}")
    assert process_memory(7, None, tmp_path) == ProcessMemory(1000 * 1024, 600 * 1024, None, "smaps")


def test_where_lists_are_closed_to_us_resident_memory_counts(tmp_path: Path) -> None:
    trees.put(tmp_path, "proc/7/statm", "1000 300 100 1 0 50 0")
    assert process_memory(7, None, tmp_path) == ProcessMemory(300 * PAGE, 200 * PAGE, None, "statm")


def test_a_process_that_has_gone_costs_nothing(tmp_path: Path) -> None:
    assert process_memory(7, None, tmp_path) is None
    assert lane_memory([7, 8], None, tmp_path) is None


def test_a_lane_is_the_sum_of_its_processes_each_once(tmp_path: Path) -> None:
    trees.put(tmp_path, "proc/7/smaps_rollup", ROLLUP)
    trees.put(tmp_path, "proc/8/statm", "1000 300 100 1 0 50 0")
    lane = lane_memory([7, 8, 7, 9], {8: 5, 9: 99}, tmp_path)
    assert lane == ProcessMemory(500 * 1024 + 300 * PAGE, 300 * 1024 + 200 * PAGE, 5, "statm")


def test_memory_on_several_gpus_is_joined_by_process() -> None:
    assert gpu_processes([{1: 5, 2: 6}, {2: 4}]) == {1: 5, 2: 10}
    assert gpu_processes([{}, {}]) is None


def test_what_a_real_process_takes_is_seen() -> None:
    code = (
        "import mmap, sys\nmap = mmap.mmap(-1, 64 << 20)\nmap.write(b'x' * (64 << 20))\n"
        "print(flush=True)\nsys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        memory = process_memory(child.pid)
        child.stdin.close()
    assert memory is not None
    assert 64 << 20 <= memory.uss_bytes <= memory.pss_bytes < 192 << 20


@given(st.one_of(st.text(), LINES))
def test_any_list_gives_sizes_or_nothing(text: str) -> None:
    for sums in (parse_mappings(text), parse_pages(text, PAGE)):
        if sums is not None:
            assert min(sums) >= 0
