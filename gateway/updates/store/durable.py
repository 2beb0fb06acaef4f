"""Makes, syncs, renames and removes files of the store, so that each step may be the last before a power cut.

Nothing here follows a link at the end of a path. Errors of the system go up as
they are; a file whose fsync failed is unlinked, because the kernel may have
dropped its bytes while its cache still shows them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from pathlib import Path
from typing import Final

from gateway.errors import StoreFailed
from gateway.updates.store.failpoints import failpoint
from gateway.updates.store.layout import TEMPORARY

_NEW: Final = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def sync_folder(folder: Path, point: str) -> None:
    """Bring a folder's names to the disk.

    Raises:
        OSError: The disk did not take them.
    """
    failpoint(point)
    fd = os.open(folder, _FOLDER)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_folder(folder: Path, mode: int) -> bool:
    """See to it that a folder is there, a real one of ours with this mode; return True if it was made.

    Raises:
        OSError: It cannot be made.
        StoreFailed: Something else stands in its place, or it belongs to somebody else.
    """
    try:
        folder.mkdir(mode=mode)
        made = True
    except FileExistsError:
        made = False
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode):
        raise StoreFailed(f"{folder}: something that is no folder stands here; move it away")
    if facts.st_uid != os.geteuid():
        raise StoreFailed(f"{folder}: it belongs to user {facts.st_uid}; do this as that user")
    if stat.S_IMODE(facts.st_mode) != mode:
        folder.chmod(mode)
    return made


def create(path: Path, mode: int, point: str) -> int:
    """Make a file that was not there and return its descriptor, for reading and writing.

    Raises:
        OSError: It cannot be made, or something is there, be it a link to nowhere.
    """
    failpoint(point)
    return os.open(path, _NEW | os.O_RDWR, mode)


def write_all(fd: int, data: bytes | memoryview, place: int) -> None:
    """Write all bytes at a place.

    Raises:
        OSError: The disk did not take them.
    """
    rest = memoryview(data)
    while rest:
        step = os.pwrite(fd, rest, place)
        place += step
        rest = rest[step:]


def write_new(path: Path, data: bytes, mode: int, what: str) -> None:
    """Make a file with these bytes and bring them (not yet its name) to the disk.

    Args:
        path: Where; nothing may be there.
        data: All of its bytes.
        mode: Its permissions.
        what: The family of failpoints, such as ``state``.

    Raises:
        OSError: It did not work; nothing is left.
    """
    fd = create(path, mode, f"{what}.create")
    try:
        try:
            failpoint(f"{what}.write")
            write_all(fd, data, 0)
            os.fchmod(fd, mode)  # whatever the umask took away
            failpoint(f"{what}.fsync")
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError:
        with contextlib.suppress(OSError):
            path.unlink()
        raise


def replace(path: Path, data: bytes, what: str) -> None:
    """Put a new file in a file's place, whole and durable: after a power cut there is the old or the new.

    Args:
        path: Which.
        data: All bytes of the new one.
        what: The family of failpoints.

    Raises:
        OSError: It did not work. Up to the rename the old one is there; after it the new one, perhaps not
            durably: do it again.
    """
    new = path.with_name(TEMPORARY + path.name)
    discard(new)
    write_new(new, data, 0o600, what)
    try:
        rename(new, path, f"{what}.rename")
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise
    sync_folder(path.parent, f"{what}.folder_fsync")


def rename(old: Path, new: Path, point: str) -> None:
    """Give a file or folder another name; nothing is durable before the folder is synced.

    Raises:
        OSError: It did not work.
    """
    failpoint(point)
    old.rename(new)


def aside(path: Path, most: int = 9) -> Path:
    """Keep what cannot be used under another name, ``.bad-<n>``, and return that; the last is overwritten.

    Raises:
        OSError: It did not work.
    """
    names = [path.with_name(f"{path.name}.bad-{n}") for n in range(1, most + 1)]
    free = next((name for name in names if not _is_there(name)), names[-1])
    if _is_there(free):
        discard(free)
    rename(path, free, "aside.rename")
    sync_folder(path.parent, "aside.folder_fsync")
    return free


def discard(path: Path) -> None:
    """Remove whatever has this name: a file, a link (not what it points to), or a folder with all in it.

    Raises:
        OSError: It cannot be removed.
    """
    try:
        is_folder = stat.S_ISDIR(path.lstat().st_mode)
    except FileNotFoundError:
        return
    if is_folder:
        _remove_tree(path)
    else:
        path.unlink()


def _remove_tree(folder: Path) -> None:
    folder.chmod(0o700)
    with os.scandir(folder) as entries:
        inner = [folder / entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    for path in inner:
        _remove_tree(path)
    shutil.rmtree(folder)


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True
