"""A source that does what a test says: right chunks, wrong ones, refusals, cuts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from gateway.errors import FetchFailed, FetchRefused
from gateway.updates.release import Blob
from tests.updates.transport.blobs import part_of


@dataclass
class Scripted:
    """Serves one blob's bytes; ``script`` says what each call of ``chunks`` does, then it is honest.

    A step is a word: ``ok``, ``refuse``, ``missing``, ``fail``, ``silent``, ``cut`` (one chunk,
    then a failure), ``wrong`` (all chunks damaged), ``wrong-first`` (the first damaged), ``foreign``
    (a chunk that nobody asked for).

    Attributes:
        data: The true bytes.
        script: What the next calls do.
        name: As operators call it.
        forever: What every call after the script does.
        asked: What was wanted, call by call.
    """

    data: bytes
    script: list[str] = field(default_factory=list)
    name: str = "scripted"
    forever: str = "ok"
    asked: list[list[int]] = field(default_factory=list)

    def read(self, path: str, most_bytes: int, deadline_s: float) -> bytes:
        """Serve no metadata."""
        raise FetchRefused(f"{self.name}: {path}", missing=1)

    def chunks(self, blob: Blob, wanted: Sequence[int], deadline_s: float) -> Iterator[tuple[int, bytes]]:
        """Do the next step."""
        step = self.script.pop(0) if self.script else self.forever
        self.asked.append(list(wanted))
        if step in {"refuse", "missing"}:
            raise FetchRefused(f"{self.name}: {step}", missing=1 if step == "missing" else None)
        if step in {"fail", "silent"}:
            raise FetchFailed(f"{self.name}: {step}", lost_bytes=10, silent=1 if step == "silent" else None)
        if step == "foreign":
            yield len(blob.chunks) + 7, b"nobody asked"
        for place, index in enumerate(wanted):
            part = part_of(self.data, index)
            damaged = bytes([part[0] ^ 1]) + part[1:]
            yield index, damaged if step == "wrong" or (step == "wrong-first" and not place) else part
            if step == "cut":
                raise FetchFailed(f"{self.name}: {step}", lost_bytes=10)

    def close(self) -> None:
        """Hold nothing."""
