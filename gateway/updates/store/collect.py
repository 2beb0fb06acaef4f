"""Gives back room: releases that nobody needs any more, then blobs and chunks that no release names."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import GatewayError
from gateway.updates.release import Release
from gateway.updates.state import ModelRecord
from gateway.updates.store.durable import discard, rename, sync_folder
from gateway.updates.store.failpoints import failpoint
from gateway.updates.store.layout import GOING, Layout, digest_of_part, number_of
from gateway.updates.store.releases import read_signed
from gateway.updates.store.trouble import told


@dataclass(frozen=True, slots=True)
class Collected:
    """What was removed.

    Attributes:
        freed_bytes: Room that is free again.
        names: Paths below the store that are gone.
    """

    freed_bytes: int
    names: tuple[str, ...]


def collect(
    layout: Layout, records: Mapping[str, ModelRecord], keep_releases: int, spare: Iterable[Release]
) -> Collected:
    """Remove what is not needed. What a record names is never touched.

    Args:
        layout: Where.
        records: All of them.
        keep_releases: So many of the newest other releases of each model stay.
        spare: Releases on their way that no record names yet: their folders, blobs, patches and chunks stay.

    Raises:
        StoreFailed: The disk does not do it; what was removed is removed.
    """
    spared = list(spare)
    names: list[str] = []
    with told("collecting"):
        before = disk_bytes(layout)
        for folder in _folders(layout.releases):
            keep = _named(records.get(folder.name)) | {
                each.number for each in spared if each.model == folder.name
            }
            names += _collect_model(layout, folder, keep, keep_releases)
        names += _collect_blobs(layout, _wanted(layout, spared))
        return Collected(max(0, before - disk_bytes(layout)), tuple(names))


def _collect_model(layout: Layout, folder: Path, keep: Collection[int], keep_releases: int) -> list[str]:
    """Remove a model's releases but those to keep and the newest others."""
    numbers = sorted(number for path in _folders(folder) if (number := number_of(path.name)) is not None)
    others = [number for number in numbers if number not in keep]
    doomed = others[: max(0, len(others) - keep_releases)]
    for number in doomed:
        going = folder / f"{GOING}{number}"
        discard(going)
        rename(folder / str(number), going, "collect.rename")
        sync_folder(folder, "collect.folder_fsync")
        failpoint("collect.remove")
        discard(going)
    return [str((folder / str(number)).relative_to(layout.root)) for number in doomed]


def _collect_blobs(layout: Layout, wanted: Collection[str]) -> list[str]:
    names: list[str] = []
    for path in sorted(layout.blobs.iterdir()):
        # A second name means that some release folder holds it, be its manifest readable or not.
        if path.name not in wanted and path.lstat().st_nlink < 2:
            failpoint("blob.remove")
            discard(path)
            names.append(str(path.relative_to(layout.root)))
    for path in sorted(layout.partial.iterdir()):
        if digest_of_part(path.name) not in wanted:
            discard(path)
            names.append(str(path.relative_to(layout.root)))
    return names


def _wanted(layout: Layout, spared: Iterable[Release]) -> set[str]:
    """Return the digests of all blobs that a release names: one in its folder, or one on its way."""
    releases = [*spared, *known_releases(layout)]
    files = {file.blob.sha256 for release in releases for file in release.files}
    return files | {delta.blob.sha256 for release in spared for delta in release.deltas}


def known_releases(layout: Layout) -> list[Release]:
    """Return what the manifests in the store say; those that cannot be read are left out.

    Raises:
        OSError: The folder of releases cannot be read.
    """
    from gateway.updates.manifest import read_manifest

    found: list[Release] = []
    for folder in _folders(layout.releases):
        for path in _folders(folder):
            number = number_of(path.name)
            try:
                if number is not None:
                    found.append(read_manifest(read_signed(layout, folder.name, number)))
            except GatewayError:
                continue
    return found


def _named(record: ModelRecord | None) -> set[int]:
    if record is None:
        return set()
    return {ref.number for ref in (record.active, record.previous, record.candidate) if ref is not None}


def _folders(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        return sorted(folder / entry.name for entry in entries if entry.is_dir(follow_symlinks=False))


def disk_bytes(layout: Layout) -> int:
    """Return the room that the store takes on the disk; what has several names counts once.

    Raises:
        OSError: A folder cannot be read.
    """
    seen: dict[tuple[int, int], int] = {}
    folders = [layout.root]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                try:
                    facts = entry.stat(follow_symlinks=False)
                except FileNotFoundError:  # the other writer was quicker
                    continue
                seen[facts.st_dev, facts.st_ino] = facts.st_blocks * 512
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
    return sum(seen.values())
