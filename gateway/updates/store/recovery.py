"""What the holder of the store's lock puts right first: leftovers of a power cut, links for people."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from gateway.errors import StoreFailed
from gateway.updates.release import ReleaseRef
from gateway.updates.state import ModelRecord
from gateway.updates.store.durable import discard
from gateway.updates.store.layout import TEMPORARY, Layout


def check_one_disk(layout: Layout) -> None:
    """Refuse folders on several file systems: names are moved and linked between them.

    Raises:
        StoreFailed: They are.
        OSError: The folders cannot be looked at.
    """
    devices = {folder.lstat().st_dev for folder in (layout.blobs, layout.partial, layout.releases)}
    if len(devices) > 1:
        raise StoreFailed(
            f"model store {layout.root}: blobs, partial and releases must lie on one file system"
        )


def clear_leftovers(layout: Layout) -> None:
    """Remove what was being made or removed when the power went; nothing of it has a name that counts.

    What cannot be removed stays for the next time.

    Raises:
        OSError: A folder cannot be read.
    """
    for path in leftovers(layout):
        with contextlib.suppress(OSError):  # a disk that cannot be written still serves what is on it
            discard(path)


def leftovers(layout: Layout) -> list[Path]:
    """Return what ``clear_leftovers`` removes.

    Raises:
        OSError: A folder cannot be read.
    """
    models = [path for path in layout.releases.iterdir() if path.is_dir() and not path.is_symlink()]
    folders = (*(folder for folder in layout.folders() if folder != layout.trust), *models)
    return sorted(path for folder in folders for path in folder.iterdir() if path.name.startswith(TEMPORARY))


def relink(layout: Layout, records: Mapping[str, ModelRecord]) -> None:
    """Make the links for people anew. Nothing reads them, so what fails is left."""
    with contextlib.suppress(OSError):
        for path in wrong_links(layout, records):
            discard(path)
    for record in records.values():
        relink_one(layout, record)


def wrong_links(layout: Layout, records: Mapping[str, ModelRecord]) -> list[Path]:
    """Return the links for people that are missing or do not show the active release.

    Raises:
        OSError: The folder cannot be read.
    """
    wanted = {
        layout.link(model): _target(model, record.active)
        for model, record in records.items()
        if record.active is not None
    }
    found = {path: str(path.readlink()) if path.is_symlink() else "" for path in layout.current.iterdir()}
    return sorted(path for path in {**wanted, **found} if wanted.get(path) != found.get(path))


def _target(model: str, ref: ReleaseRef) -> str:
    return f"../releases/{model}/{ref.number}"


def relink_one(layout: Layout, record: ModelRecord) -> None:
    """Let a model's link show its active release; no link while the factory model serves."""
    link = layout.link(record.model)
    with contextlib.suppress(OSError):
        if record.active is None:
            discard(link)
            return
        target = _target(record.model, record.active)
        if link.is_symlink() and str(link.readlink()) == target:
            return
        new = link.with_name(TEMPORARY + link.name)
        discard(new)
        new.symlink_to(target)
        if link.is_dir() and not link.is_symlink():
            discard(link)
        new.rename(link)
