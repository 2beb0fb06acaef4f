"""Brings one blob after another into the store, chunk by verified chunk, from whichever source delivers.

1. A chunk counts once its hash is right; it is then never asked for again, not
   even after a power cut. A wrong one counts against its source, and the next
   source is asked for it.
2. Sources are asked in their order. After a round in which nobody brought a
   single good chunk comes a pause: exponential, with full jitter, and only so often.
3. A source that refuses a blob, or is silent about it, is not asked for it again.
   A blob that every source refuses is refused; anything else is a failure that
   may pass.
4. All bytes that come count against a budget, good or not.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from gateway.errors import FetchFailed, FetchRefused, UpdateRefused
from gateway.updates.release import CHUNK_BYTES, Blob
from gateway.updates.transport.source import Source
from gateway.updates.transport.spans import chunk_bytes

# One flipped bit may be the wire's fault; the same chunk wrong again is the source's.
_WRONG_TWICE: Final = 2


class Incoming(Protocol):
    """A blob on its way into the store; see ``store.partial.PartialBlob``."""

    def missing(self) -> list[int]:
        """Return the chunks that are not there yet, rising."""
        ...

    def write(self, index: int, data: bytes | memoryview) -> None:
        """Check one chunk and keep it; FetchRefused if it is not the one that was signed."""
        ...


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """What a fetch may cost.

    Attributes:
        rounds: Rounds in a row without a good chunk after which a blob is given up.
        first_pause_s: Longest pause after the first of them; it doubles.
        longest_pause_s: Longest pause at all.
        budget_factor: Bytes that may come, as a multiple of what is needed.
        wrong_chunks: Wrong chunks of one blob after which a source is not asked for it any more.
    """

    rounds: int = 6
    first_pause_s: float = 0.5
    longest_pause_s: float = 30.0
    budget_factor: float = 3.0
    wrong_chunks: int = 4


@dataclass
class Fetch:
    """One fetch: its deadline, its budget, and how far it is. Shared by all blobs of a release.

    Attributes:
        total_bytes: What has to be there in the end.
        deadline_s: Monotonic time by which it must.
        budget_bytes: What may still come.
        stop: Set by whoever wants it to end.
        told: Called with the good bytes and all bytes after each chunk.
        good_bytes: What is there.
        come_bytes: What came over the sources, good or not.
    """

    total_bytes: int
    deadline_s: float
    budget_bytes: int
    stop: threading.Event
    told: Callable[[int, int], None]
    good_bytes: int = 0
    come_bytes: int = 0

    def came(self, count: int) -> None:
        """Count bytes that came.

        Raises:
            FetchFailed: They are more than the budget.
        """
        self.come_bytes += count
        self.budget_bytes -= count
        if self.budget_bytes < 0:
            what = f"{self.come_bytes} bytes came, and what is needed is not among them"
            raise FetchFailed(f"the fetch is over its budget: {what}", come_bytes=self.come_bytes)

    def kept(self, count: int) -> None:
        """Count bytes that are there now."""
        self.good_bytes += count
        self.told(self.good_bytes, self.total_bytes)

    def check(self) -> None:
        """See whether it is worth going on.

        Raises:
            FetchFailed: It was stopped (``stopped`` is 1), or its time is over.
        """
        if self.stop.is_set():
            raise FetchFailed("the fetch was stopped", stopped=1)
        if time.monotonic() >= self.deadline_s:
            raise FetchFailed(
                f"the fetch took too long: {self.good_bytes} of {self.total_bytes} bytes are here"
            )


@dataclass
class _Standing:
    """What a source did about one blob.

    Attributes:
        source: Which.
        wrong: How often each chunk came wrong.
        refusal: Why it is not asked any more for this blob.
    """

    source: Source
    wrong: dict[int, int] = field(default_factory=dict)
    refusal: UpdateRefused | None = None


class Downloader:
    """Asks sources for the missing chunks of blobs.

    Args:
        sources: In the order in which they are asked; the caller closes them.
        limits: What a fetch may cost.
    """

    def __init__(self, sources: Sequence[Source], limits: FetchLimits | None = None) -> None:
        self._sources = tuple(sources)
        self._limits = limits or FetchLimits()

    def begin(
        self,
        total_bytes: int,
        deadline_s: float,
        stop: threading.Event,
        told: Callable[[int, int], None],
    ) -> Fetch:
        """Return a new fetch of so many bytes."""
        budget_bytes = int(total_bytes * self._limits.budget_factor) + CHUNK_BYTES
        return Fetch(total_bytes, deadline_s, budget_bytes, stop, told)

    def fetch(self, blob: Blob, incoming: Incoming, fetch: Fetch) -> None:
        """Bring every missing chunk of a blob.

        Raises:
            FetchRefused: No source has it, or all give wrong bytes (``missing`` is 1 if none has it).
            FetchFailed: It did not come in time, in budget, or in so many tries; what came stays.
            DiskFull, StoreFailed: The store did not take it.
        """
        standings = [_Standing(source) for source in self._sources]
        idle = 0
        while missing := incoming.missing():
            failure = self._round(blob, incoming, fetch, standings)
            left = incoming.missing()
            if not left:
                return
            asked = [standing for standing in standings if standing.refusal is None]
            if not asked:
                raise _all_refused(blob, standings)
            idle = 0 if len(left) < len(missing) else idle + 1
            if idle >= self._limits.rounds:
                raise _given_up(blob, idle, failure)
            self._pause(fetch, idle)

    def _round(
        self, blob: Blob, incoming: Incoming, fetch: Fetch, standings: Sequence[_Standing]
    ) -> FetchFailed | None:
        """Ask every source that may have it once; return the last failure."""
        failure = None
        for standing in standings:
            fetch.check()
            if standing.refusal is not None:
                continue
            wanted = [index for index in incoming.missing() if standing.wrong.get(index, 0) < _WRONG_TWICE]
            try:
                if not wanted:
                    what = f"{standing.source.name}: gave what is missing wrong, and wrong again"
                    raise FetchRefused(f"{what}: it is not what was signed", wrong=1)
                self._ask(blob, wanted, incoming, (fetch, standing))
            except FetchRefused as error:
                standing.refusal = error
            except FetchFailed as error:
                fetch.check()
                if fetch.budget_bytes < 0:
                    raise
                failure = error
                if error.attributes.get("silent"):  # it was patient itself
                    standing.refusal = error
                fetch.came(int(error.attributes.get("lost_bytes", 0)))
            if not incoming.missing():
                break
        return failure

    def _ask(
        self, blob: Blob, wanted: Sequence[int], incoming: Incoming, who: tuple[Fetch, _Standing]
    ) -> None:
        fetch, standing = who
        stream = standing.source.chunks(blob, wanted, fetch.deadline_s)
        try:
            for index, data in _until(stream, fetch):
                try:
                    incoming.write(index, data)
                except FetchRefused as error:
                    self._note_wrong(standing, index, error)
                else:
                    fetch.kept(len(data))
        finally:
            if isinstance(stream, Generator):
                stream.close()

    def _note_wrong(self, standing: _Standing, index: int, error: FetchRefused) -> None:
        standing.wrong[index] = standing.wrong.get(index, 0) + 1
        if sum(standing.wrong.values()) >= self._limits.wrong_chunks:
            raise FetchRefused(f"{standing.source.name}: {error.message}", wrong=1) from error

    def _pause(self, fetch: Fetch, idle: int) -> None:
        """Wait before the next round, but not past the deadline, and not when it is stopped."""
        if not idle:
            return
        wait_s = min(pause_s(self._limits, idle, random.random()), fetch.deadline_s - time.monotonic())
        fetch.stop.wait(max(0.0, wait_s))
        fetch.check()


def pause_s(limits: FetchLimits, idle: int, jitter: float) -> float:
    """Return the pause after so many rounds in a row without a good chunk.

    Args:
        limits: What a fetch may cost.
        idle: The rounds; at least 1.
        jitter: Random number in [0, 1): all of the pause is left to it, so that a fleet spreads.
    """
    return jitter * min(limits.longest_pause_s, limits.first_pause_s * 2.0 ** (idle - 1))


def missing_bytes(blob: Blob, incoming: Incoming) -> int:
    """Return how many bytes of a blob are not there yet."""
    return sum(chunk_bytes(blob, index) for index in incoming.missing())


def _until(stream: Iterator[tuple[int, bytes]], fetch: Fetch) -> Iterator[tuple[int, bytes]]:
    for index, data in stream:
        fetch.came(len(data))
        yield index, data
        fetch.check()


def _all_refused(blob: Blob, standings: Sequence[_Standing]) -> FetchRefused | FetchFailed:
    reasons = [standing.refusal for standing in standings if standing.refusal is not None]
    if not reasons:
        return FetchRefused(f"blob {blob.sha256[:12]}: there is no source to ask")
    told = [reason for reason in reasons if not reason.attributes.get("missing")]
    words = "; ".join(reason.message for reason in told or reasons)
    if any(isinstance(reason, FetchFailed) for reason in reasons):
        return FetchFailed(words, blob=blob.sha256)
    return FetchRefused(words, blob=blob.sha256, missing=None if told else 1)


def _given_up(blob: Blob, rounds: int, failure: UpdateRefused | None) -> FetchFailed:
    why = failure.message if failure is not None else "no source gave what was signed"
    return FetchFailed(f"given up after {rounds} rounds without a good chunk: {why}", blob=blob.sha256)
