"""Which bytes of a blob a chunk is, and which chunks can be asked for in one go. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.updates.release import CHUNK_BYTES, Blob


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring chunks.

    Attributes:
        first: Index of the first.
        count: How many.
    """

    first: int
    count: int


def chunk_bytes(blob: Blob, index: int) -> int:
    """Return how long a chunk is: all are full but the last."""
    return min(CHUNK_BYTES, blob.size_bytes - index * CHUNK_BYTES)


def runs(wanted: Sequence[int], longest: int) -> Iterator[Run]:
    """Yield the runs of neighbours in rising indices, each of at most ``longest`` chunks."""
    first = count = 0
    for index in wanted:
        if count and (index != first + count or count == longest):
            yield Run(first, count)
            count = 0
        if not count:
            first = index
        count += 1
    if count:
        yield Run(first, count)


def run_bytes(blob: Blob, run: Run) -> tuple[int, int]:
    """Return offset and length of a run in its blob."""
    offset = run.first * CHUNK_BYTES
    return offset, min(run.count * CHUNK_BYTES, blob.size_bytes - offset)
