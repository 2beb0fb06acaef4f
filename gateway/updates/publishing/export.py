"""Copies what boards may see of a repository to another folder, in an order that is right at every moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from gateway.errors import PublishRefused
from gateway.updates.publishing import disk
from gateway.updates.publishing.roles import TIMESTAMP
from gateway.updates.transport.folder import READY_FILE

METADATA: Final = "metadata"
TARGETS: Final = "targets"
BLOBS: Final = "blobs"
Told = Callable[[int, int], None]


def silent(done_bytes: int, total_bytes: int) -> None:
    """Tell nobody."""
    del done_bytes, total_bytes


def export(folder: Path, to: Path, told: Told) -> None:
    """Copy the public tree: blobs, then what names them, then what signs that, the timestamp last.

    Private keys lie elsewhere and are never copied. ``READY`` is removed first and
    written last: whoever watches the folder (a board's inbox) waits for it.

    Args:
        folder: The repository.
        to: Where; it is made. What is there and the same is not copied again.
        told: Told of the bytes done and of all bytes.

    Raises:
        OSError: It did not work; what was there before can still be used.
        PublishRefused: The destination is the repository itself, or holds another one.
    """
    if to.resolve() == folder.resolve() or folder.resolve() in to.resolve().parents:
        raise PublishRefused(f"{to}: this is the repository itself; name another folder")
    _check_same(folder, to)
    paths = [path for path in _ordered(folder) if not _is_same(path, to / path.relative_to(folder))]
    total = sum(path.stat().st_size for path in paths)
    done = 0

    def progress(step: int) -> None:
        nonlocal done
        done += step
        told(done, total)

    disk.make_folders(to)
    disk.remove(to / READY_FILE)
    for path in paths:
        disk.copy(path, to / path.relative_to(folder), progress)
    told(total, total)
    disk.write(to / READY_FILE, b"complete\n")


def _ordered(folder: Path) -> Iterator[Path]:
    timestamp = folder / METADATA / f"{TIMESTAMP}.json"
    for part in (BLOBS, TARGETS, METADATA):
        found = sorted((folder / part).rglob("*"))
        yield from (path for path in found if _is_public(path) and path != timestamp)
    yield timestamp


def _is_public(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and not path.name.startswith(".")


def _is_same(path: Path, other: Path) -> bool:
    """Say whether a copy is there; a blob's name is its digest, and boards check every chunk anyway."""
    if not other.is_file() or other.stat().st_size != path.stat().st_size:
        return False
    return path.parent.name == BLOBS or other.read_bytes() == path.read_bytes()


def _check_same(folder: Path, to: Path) -> None:
    first = f"{METADATA}/1.root.json"
    if (to / first).is_file() and not _is_same(folder / first, to / first):
        raise PublishRefused(f"{to}: another repository lies there; empty the folder, or name another one")
