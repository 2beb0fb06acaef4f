"""Chunks and runs: nothing is lost, and nothing is asked for twice."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gateway.updates.release import CHUNK_BYTES, Blob
from gateway.updates.transport.spans import chunk_bytes, run_bytes, runs


@given(st.sets(st.integers(0, 200)), st.integers(1, 20))
def test_runs_hold_every_wanted_chunk_once_in_order(wanted: set[int], longest: int) -> None:
    made = list(runs(sorted(wanted), longest))
    assert [index for run in made for index in range(run.first, run.first + run.count)] == sorted(wanted)
    assert all(1 <= run.count <= longest for run in made)


@given(st.sets(st.integers(0, 40), min_size=1))
def test_neighbours_are_never_parted_without_need(wanted: set[int]) -> None:
    made = list(runs(sorted(wanted), 100))
    assert all(second.first > first.first + first.count for first, second in pairwise(made))


@given(st.integers(1, 5 * CHUNK_BYTES))
def test_the_bytes_of_all_runs_are_the_bytes_of_the_blob(size: int) -> None:
    count = -(-size // CHUNK_BYTES)
    blob = Blob("", size, ("",) * count)
    spans = [run_bytes(blob, run) for run in runs(range(count), 2)]
    assert sum(length for _, length in spans) == size == sum(chunk_bytes(blob, each) for each in range(count))
    assert all(offset % CHUNK_BYTES == 0 for offset, _ in spans)
