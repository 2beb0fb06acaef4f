"""A board's trust and a source that a test scripts: it serves a folder and can lie, lose or delay."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.errors import FetchRefused
from gateway.updates.publishing.repository import Repository
from gateway.updates.release import Blob
from gateway.updates.trust.client import TrustClient
from gateway.updates.trust.generations import Generations
from tests.updates.publishing.releases import BUILD_S, Hand


def honest(path: str, data: bytes | None) -> bytes | None:
    """Answer what is there."""
    del path
    return data


@dataclass
class ScriptedSource:
    """Serves the public tree of a repository; ``twist`` may change any answer.

    Attributes:
        folder: The repository.
        name: As operators call it.
        twist: Gets the path and the true bytes (None if there are none), returns what to answer, or raises.
        asked: Paths in the order in which they were asked for.
    """

    folder: Path
    name: str = "test"
    twist: Callable[[str, bytes | None], bytes | None] = honest
    asked: list[str] = field(default_factory=list)

    def read(self, path: str, most_bytes: int, deadline_s: float) -> bytes:
        """Return a file as far as it is allowed."""
        del deadline_s
        self.asked.append(path)
        place = self.folder / path
        data = self.twist(path, place.read_bytes() if place.is_file() else None)
        if data is None:
            raise FetchRefused(f"{self.name}: {path} is not there", missing=1)
        if len(data) > most_bytes:
            raise FetchRefused(f"{self.name}: {path}: more than {most_bytes} bytes")
        return data

    def lay(self, wanted: str, answer: bytes | None) -> None:
        """Answer one path with these bytes from now on, and the others with what is there."""
        self.twist = lambda path, data: answer if path == wanted else data

    def chunks(self, blob: Blob, wanted: Sequence[int], deadline_s: float) -> Iterator[tuple[int, bytes]]:
        """Trust needs no blobs."""
        raise AssertionError((blob, wanted, deadline_s))

    def close(self) -> None:
        """Hold nothing."""


@dataclass
class Board:
    """One board: its trust folder, its root of trust as delivered, its clock."""

    folder: Path
    root: bytes
    clock: Hand

    def client(self, source: ScriptedSource, seconds: float = 30.0) -> TrustClient:
        """Return a client for one look."""
        return TrustClient(
            self.folder,
            self.root,
            source,
            now_unix_s=self.clock(),
            build_unix_s=BUILD_S,
            deadline_s=time.monotonic() + seconds,
        )


def board(folder: Path, repository: Repository, clock: Hand) -> Board:
    """Return a factory-fresh board that trusts a repository's root as it is now."""
    return Board(folder, repository.root_file.read_bytes(), clock)


def zero_the_cache(board: Board) -> None:
    """Leave of python-tuf's files what a power cut leaves: their names."""
    for path in board.folder.glob("gen-*/*.json"):
        if not path.is_symlink():
            path.write_bytes(b"")


def nothing_came_of_it(board: Board, before: Path | None) -> None:
    """Check that the good generation is the one before, and the only one."""
    assert Generations(board.folder).current() == before
    assert list(board.folder.glob("gen-*")) == ([] if before is None else [before])
