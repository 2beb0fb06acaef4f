"""Reads how full the model store and its disk are."""

from __future__ import annotations

import os
from pathlib import Path

from gateway.configuration.settings import Settings
from gateway.doctor.readers.service import Service
from gateway.doctor.readers.text import is_there
from gateway.doctor.rules.store import StoreFacts
from gateway.doctor.rules.who import Node
from gateway.updates.store.layout import store_folder

_MOST_FILES = 200_000


def read_store(settings: Settings, service: Service, state: Path = Path("/var/lib/gateway")) -> StoreFacts:
    """Read the store's facts.

    Args:
        settings: Say where it is, and what it may hold.
        service: Who writes there.
        state: The service's state directory, where the settings name no folder and a service is installed.

    Raises:
        OSError: Not even the root of the file system can be looked at.
    """
    environment = {"STATE_DIRECTORY": str(state)} if service.installed else dict(os.environ)
    folder = store_folder(settings, environment)
    nearest = folder
    while not is_there(nearest) and nearest != nearest.parent:
        nearest = nearest.parent
    facts, disk = nearest.stat(), os.statvfs(nearest)
    return StoreFacts(
        folder=str(folder),
        nearest=Node(str(nearest), facts.st_uid, facts.st_gid, facts.st_mode & 0o777),
        updates=bool(settings.updates.repository or settings.updates.inbox_dir),
        free_bytes=disk.f_bavail * disk.f_frsize,
        total_bytes=disk.f_blocks * disk.f_frsize,
        free_files=disk.f_favail if disk.f_files else None,
        used_bytes=_used(folder),
        quota_bytes=settings.updates.quota_bytes,
        reserve_bytes=settings.updates.reserve_bytes,
        read_only=bool(disk.f_flag & os.ST_RDONLY),
        who=service.who,
    )


def _used(folder: Path) -> int | None:
    """Return what lies in a folder; links to one file count once. None if it cannot be read."""
    there = is_there(folder)
    if not there:
        return 0 if there is False else None
    failed: list[OSError] = []
    seen: dict[tuple[int, int], int] = {}
    for place, _, files in os.walk(folder, onerror=failed.append):
        for name in files:
            try:
                facts = (Path(place) / name).lstat()
            except OSError:
                continue  # it went while we looked: a gateway is at work
            seen[facts.st_dev, facts.st_ino] = facts.st_size
        if len(seen) > _MOST_FILES:
            break
    return None if any(isinstance(error, PermissionError) for error in failed) else sum(seen.values())
