"""What the holder of the store's lock puts right first: leftovers of a power cut, links for people."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from gateway.errors import StoreFailed
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

    Raises:
        OSError: The disk does not do it.
    """
    models = [path for path in layout.releases.iterdir() if path.is_dir() and not path.is_symlink()]
    for folder in (layout.root, layout.state, layout.blobs, layout.partial, layout.current, *models):
        for path in folder.iterdir():
            if path.name.startswith(TEMPORARY):
                discard(path)


def relink(layout: Layout, records: Mapping[str, ModelRecord]) -> None:
    """Make the links for people anew. Nothing reads them, so what fails is left."""
    with contextlib.suppress(OSError):
        for path in layout.current.iterdir():
            record = records.get(path.name)
            if record is None or record.active is None:
                discard(path)
    for record in records.values():
        relink_one(layout, record)


def relink_one(layout: Layout, record: ModelRecord) -> None:
    """Let a model's link show its active release; no link while the factory model serves."""
    link = layout.link(record.model)
    with contextlib.suppress(OSError):
        if record.active is None:
            discard(link)
            return
        target = f"../releases/{record.model}/{record.active.number}"
        if link.is_symlink() and str(link.readlink()) == target:
            return
        new = link.with_name(TEMPORARY + link.name)
        discard(new)
        new.symlink_to(target)
        if link.is_dir() and not link.is_symlink():
            discard(link)
        new.rename(link)
