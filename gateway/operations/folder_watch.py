"""Says when something in a folder has changed and come to rest, without looking all the time.

Rules:

1. Changes are told once nothing has happened for ``quiet_s``, or ``_LONGEST_S`` after the
   first of them where something happens all the time.
2. What somebody has open for writing is in ``writing``; more bytes in it are no news, its end is.
3. Folders inside are watched as well, three deep; what begins with a dot is not heeded.
4. Lost events, and folders that come and go, count as a change. A folder that is not
   there is waited for at the nearest one above it.
5. Where the kernel cannot watch, or changes of others cannot be seen (network file
   systems), a change is told every ``slow_s``: whoever listens must look for himself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final

from gateway.operations import inotify
from gateway.operations.inotify import FolderEvent, Inotify

QUIET_S: Final = 0.5
SLOW_S: Final = 5.0
_LONGEST_S: Final = 5.0
_BREATH_S: Final = 0.05  # a copy makes thousands of events; they are read together
_MOST_DEEP: Final = 3
_MOST_FOLDERS: Final = 1024
# File systems on which others change what this kernel does not hear of.
_REMOTE: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "lustre", "afs", "virtiofs", "vboxsf"}
)
_FUSE_LOCAL: Final = frozenset({"fuseblk", "fusectl"})
_WRITES: Final = inotify.CREATE | inotify.MODIFY
_RESTS: Final = inotify.CLOSE_WRITE | inotify.MOVED_FROM | inotify.MOVED_TO | inotify.DELETE
_TREE: Final = inotify.CREATE | inotify.MOVED_FROM | inotify.MOVED_TO | inotify.DELETE
_GONE: Final = inotify.DELETE_SELF | inotify.MOVE_SELF | inotify.UNMOUNT


class FolderWatch:
    """One folder that is watched, as an asynchronous iterator of changes.

    For one event loop and one listener: ``async with FolderWatch(path) as watch: async for _ in watch``.

    Attributes:
        slow: Why changes are looked for every few seconds; empty where the kernel tells them.
    """

    def __init__(self, path: Path, *, quiet_s: float = QUIET_S, slow_s: float = SLOW_S) -> None:
        """Prepare.

        Args:
            path: The folder; it need not be there.
            quiet_s: Rest after which changes are told.
            slow_s: Pause between looks where the kernel does not tell.
        """
        self.slow = ""
        self._path = path.absolute()
        self._quiet_s = quiet_s
        self._slow_s = slow_s
        self._kernel: Inotify | None = None
        self._folders: dict[int, Path] = {}
        self._writing: set[Path] = set()
        self._changed = asyncio.Event()
        self._first_s: float | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}

    @property
    def writing(self) -> frozenset[Path]:
        """Files that somebody has open for writing, as far as was seen."""
        return frozenset(self._writing)

    async def __aenter__(self) -> FolderWatch:
        self._loop = asyncio.get_running_loop()
        try:
            self._kernel = Inotify()
        except OSError as error:
            self._look_slowly(f"inotify: {error.strerror}")
        else:
            self._loop.add_reader(self._kernel.fd, self._readable)
            self._watch_all()
            kind = await asyncio.to_thread(_file_system, self._path)
            if kind in _REMOTE or (kind.startswith("fuse") and kind not in _FUSE_LOCAL):
                self._look_slowly(f"changes that other machines make on {kind} are not told")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._kernel is not None:
            self._loop.remove_reader(self._kernel.fd)
            self._kernel.close()
            self._kernel = None

    def __aiter__(self) -> FolderWatch:
        return self

    async def __anext__(self) -> None:
        """Wait for changes that have come to rest since the last call. Cancel-safe."""
        await self._changed.wait()
        self._changed.clear()

    def _readable(self) -> None:
        """Take what happened, then leave the descriptor alone for a moment."""
        assert self._kernel is not None
        events = self._kernel.read()
        self._loop.remove_reader(self._kernel.fd)
        self._later("read", _BREATH_S, self._read_on)
        news = [event for event in events if self._take(event)]
        if news:
            self._stir()

    def _read_on(self) -> None:
        if self._kernel is not None:
            self._loop.add_reader(self._kernel.fd, self._readable)

    def _take(self, event: FolderEvent) -> bool:
        """Note one event; return whether it is news."""
        folder = self._folders.get(event.watch)
        if event.mask & inotify.OVERFLOW:
            self._writing.clear()
            self._watch_all()
            return True
        if folder is None:
            return False
        if event.mask & (_GONE | inotify.IGNORED):
            self._lost(event.watch, folder, ended=bool(event.mask & inotify.IGNORED))
            return True
        if not self._is_ours(folder / event.name):
            return self._came_nearer(folder / event.name)
        if event.name.startswith("."):
            return False
        return self._take_named(folder / event.name, event.mask)

    def _take_named(self, path: Path, mask: int) -> bool:
        if mask & inotify.IS_FOLDER:
            if mask & _TREE:
                self._watch_all()
            return bool(mask & _TREE)
        if mask & _RESTS:
            self._writing.discard(path)
            return True
        if mask & _WRITES and path not in self._writing and _is_single_file(path):
            self._writing.add(path)
            return True
        return not mask & inotify.MODIFY

    def _lost(self, watch: int, folder: Path, *, ended: bool) -> None:
        """Forget a folder that was deleted, moved or unmounted; look who is there now."""
        self._folders.pop(watch, None)
        self._writing = {path for path in self._writing if not path.is_relative_to(folder)}
        if not ended and self._kernel is not None:
            self._kernel.forget(watch)
        self._watch_all()

    def _is_ours(self, path: Path) -> bool:
        return path.is_relative_to(self._path) and path != self._path

    def _came_nearer(self, path: Path) -> bool:
        """Note something in a folder above; return whether it leads to the one that is waited for."""
        if not self._path.is_relative_to(path):
            return False
        self._watch_all()
        return True

    def _watch_all(self) -> None:
        """Watch the folder and those inside it, or the nearest one above it; folders that are known stay."""
        assert self._kernel is not None
        wanted = list(_folders_in(self._path)) or [_nearest(self._path)]
        held = set(self._folders.values())
        for watch, folder in [*self._folders.items()]:
            if folder not in wanted:
                del self._folders[watch]
                self._kernel.forget(watch)
        for folder in wanted:
            if folder in held:
                continue
            try:
                self._folders[self._kernel.watch(folder)] = folder
            except (FileNotFoundError, NotADirectoryError):
                continue  # it went meanwhile, which is told by the one above
            except OSError as error:
                self._look_slowly(f"inotify: {folder}: {error.strerror}")

    def _stir(self) -> None:
        """Tell the change once all is quiet."""
        now_s = self._loop.time()
        if self._first_s is None:
            self._first_s = now_s
        left_s = self._first_s + _LONGEST_S - now_s
        self._later("rest", max(0.0, min(self._quiet_s, left_s)), self._at_rest)

    def _at_rest(self) -> None:
        self._first_s = None
        self._changed.set()

    def _look_slowly(self, why: str) -> None:
        if not self.slow:
            self.slow = why
            self._later("look", self._slow_s, self._look)

    def _look(self) -> None:
        self._changed.set()
        self._later("look", self._slow_s, self._look)

    def _later(self, what: str, delay_s: float, call: Callable[[], None]) -> None:
        held = self._timers.pop(what, None)
        if held is not None:
            held.cancel()
        self._timers[what] = self._loop.call_later(delay_s, call)


def _folders_in(path: Path, deep: int = _MOST_DEEP) -> Iterator[Path]:
    """Yield a folder and those inside it; nothing if it is none. Links inside are not followed."""
    left = [(path, 0)]
    count = 0
    while left and count < _MOST_FOLDERS:
        folder, depth = left.pop()
        try:
            with os.scandir(folder) as entries:
                inner = [
                    Path(entry.path)
                    for entry in entries
                    if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
                ]
        except OSError:
            continue
        count += 1
        yield folder
        if depth < deep:
            left += [(each, depth + 1) for each in sorted(inner)]


def _nearest(path: Path) -> Path:
    """Return the nearest folder above that is there."""
    return next(each for each in path.parents if each.is_dir() or each == each.parent)


def _is_single_file(path: Path) -> bool:
    """Tell a file that was opened from one that was linked, or is no file: those are never closed."""
    with contextlib.suppress(OSError):
        facts = path.lstat()
        return facts.st_nlink == 1 and (facts.st_mode & 0o170000) == 0o100000
    return False


def _file_system(path: Path) -> str:
    """Return the kind of file system that a path lies on; empty if that cannot be told."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
        return mounted_as(lines, path.resolve())
    except (OSError, RuntimeError):
        return ""


def mounted_as(lines: str, path: Path) -> str:
    """Return the kind of file system of a path out of the text of ``/proc/self/mountinfo``."""
    found = ("", "")
    for line in lines.splitlines():
        left, mark, right = line.partition(" - ")
        parts = left.split(" ")
        if not mark or len(parts) < 5:
            continue
        place = parts[4].replace("\\040", " ")
        if path.is_relative_to(place) and len(place) >= len(found[0]):
            found = (place, right.split(" ", 1)[0])
    return found[1]
