"""The order that nothing new is to be taken, kept over restarts: a file that is there or not."""

from __future__ import annotations

from gateway.updates.store.durable import replace, sync_folder
from gateway.updates.store.layout import Layout
from gateway.updates.store.trouble import told


def is_paused(layout: Layout) -> bool:
    """Say whether the order stands. What cannot be read does not stand."""
    return layout.pause.is_file()


def set_paused(layout: Layout, *, paused: bool) -> None:
    """Let the order stand, or not; durable when this returns.

    Raises:
        StoreFailed: The disk does not do it.
        DiskFull: There is no room.
    """
    path = layout.pause
    with told("pause"):
        if paused:
            replace(path, b"", "pause")
        elif path.exists():
            path.unlink()
            sync_folder(path.parent, "pause.folder_fsync")
