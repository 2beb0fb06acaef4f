"""A signed repository, a store with its lock, and the options of a child between them: all real."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.updates.publishing.assigning import Change
from gateway.updates.release import Release
from gateway.updates.store.store import Store
from gateway.updates.updater import UpdaterOptions
from tests.updates.publishing.releases import Hand, begin, pack

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
