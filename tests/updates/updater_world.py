"""A signed repository, a store with its lock, and the options of a child between them: all real."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.updates.publishing.assigning import Change
from gateway.updates.release import CHUNK_BYTES, Release, manifest_digest
from gateway.updates.store.store import Store
from gateway.updates.updater import Refreshed, UpdaterOptions, UpdaterSession
from tests.updates.publishing.releases import Hand, begin, pack
from tests.updates.transport.blobs import noise

MOST_RSS_BYTES = 80_000_000
WEIGHTS = noise(9 * CHUNK_BYTES + 99)
QUOTA_BYTES = 1 << 30
GROUP = "porch"


class World:
    """One author and one board.

    Attributes:
        repository: What the author signs.
        folder: The repository's folder.
        store: The board's, locked by this process.
        options: For a child of the board.
    """

    def __init__(self, folder: Path, store: Store) -> None:
        self._folder = folder
        self.folder = folder / "repository"
        self.repository = begin(self.folder, Hand(time.time()))
        self.store = store
        self.options = UpdaterOptions(
            store_dir=store.root,
            repository=str(self.folder),
            root=self.repository.root_file.read_bytes(),
            group=GROUP,
            quota_bytes=QUOTA_BYTES,
            reserve_bytes=0,
            build_unix_s=int(time.time()) - 86_400,
            refresh_s=20.0,
            fetch_s=60.0,
        )

    def release(self, number: int, weights: bytes = b"", model: str = "door") -> Release:
        """Sign a release, assign it to the group, and publish."""
        release = self.repository.add(pack(self._folder, number, model, weights))
        self.repository.assign(GROUP, Change({model: number}))
        self.repository.publish()
        return release

    def with_options(self, **changes: Any) -> UpdaterOptions:
        """Return the options with changes."""
        return replace(self.options, **changes)


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """Make a world, and let its lock go afterwards."""
    store = Store.open(folder / "store", quota_bytes=QUOTA_BYTES, reserve_bytes=0)
    try:
        yield World(folder, store)
    finally:
        store.close()


def silent(done_bytes: int, total_bytes: int) -> None:
    """Tell nobody."""


def look(board: World, *models: str, **changes: object) -> Refreshed:
    """Look at the repository in a child of its own."""

    async def scenario() -> Refreshed:
        async with UpdaterSession(board.with_options(**changes), board.store.lock_fd) as session:
            return await session.refresh(models or ("door",))

    return asyncio.run(scenario())


def install(board: World, number: int = 1, model: str = "door", **changes: object) -> int:
    """Fetch a release in a child of its own; return the child's most memory."""

    async def scenario() -> int:
        session = UpdaterSession(board.with_options(**changes), board.store.lock_fd)
        async with session:
            ref = await session.fetch(model, number, silent)
            assert ref.digest == manifest_digest(board.store.manifest(model, number))
            board.store.verify(model, ref)
        return session.peak_rss_bytes

    return asyncio.run(scenario())


def weights_of(release: Release) -> str:
    """Return the path of a release's weights in a repository."""
    return "blobs/" + next(file.blob.sha256 for file in release.files if file.path == "model.tflite")


def lives(pid: int) -> bool:
    """Say whether a process is there, and more than an exit status that nobody has asked for."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
