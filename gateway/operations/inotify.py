"""The kernel's own word on changes in folders: inotify, through the C library that is loaded anyway.

Nothing is polled: the descriptor becomes readable when something happened.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MODIFY, ATTRIB, CLOSE_WRITE = 0x2, 0x4, 0x8
MOVED_FROM, MOVED_TO, CREATE, DELETE, DELETE_SELF, MOVE_SELF = 0x40, 0x80, 0x100, 0x200, 0x400, 0x800
UNMOUNT, OVERFLOW, IGNORED, IS_FOLDER = 0x2000, 0x4000, 0x8000, 0x40000000
_ONLY_FOLDER: Final = 0x01000000
_NO_UNLINKED: Final = 0x04000000
_CHANGES: Final = (
    MODIFY | ATTRIB | CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE | DELETE_SELF | MOVE_SELF
)
_HEAD: Final = struct.Struct("=iIII")
_MOST_READ_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class FolderEvent:
    """One change.

    Attributes:
        watch: Number of the watched folder; -1 if changes were lost (``OVERFLOW``).
        mask: What happened: ``CREATE``, ``CLOSE_WRITE`` ...
        name: What in the folder; empty for the folder itself.
    """

    watch: int
    mask: int
    name: str


def events_of(data: bytes) -> Iterator[FolderEvent]:
    """Yield the events of what was read from the descriptor; a last one that is cut off is left out."""
    at = 0
    while at + _HEAD.size <= len(data):
        watch, mask, _, size = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        if at + size > len(data):
            return
        name = data[at : at + size].split(b"\0", 1)[0]
        at += size
        yield FolderEvent(watch, mask, os.fsdecode(name))


class Inotify:
    """One inotify instance; closed by whoever made it.

    Attributes:
        fd: Readable when there are events.
    """

    def __init__(self) -> None:
        """Open it.

        Raises:
            OSError: The system has none, or no more for this user.
        """
        self._libc = ctypes.CDLL(None, use_errno=True)
        try:
            opened = self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        except AttributeError as error:  # another system's C library
            raise OSError(0, "this system has no inotify") from error
        self.fd: int = _checked(opened)

    def watch(self, folder: Path) -> int:
        """Watch what happens in a folder, and to it; return the number of the watch.

        Raises:
            OSError: It is no folder, cannot be read, or the user may watch no more of them.
        """
        mask = _CHANGES | _ONLY_FOLDER | _NO_UNLINKED
        return _checked(self._libc.inotify_add_watch(self.fd, os.fsencode(folder), ctypes.c_uint32(mask)))

    def forget(self, watch: int) -> None:
        """Watch a folder no longer; it may be gone already."""
        self._libc.inotify_rm_watch(self.fd, watch)

    def read(self) -> list[FolderEvent]:
        """Return what happened since the last call; empty if nothing did. Does not wait."""
        with contextlib.suppress(BlockingIOError):
            return list(events_of(os.read(self.fd, _MOST_READ_BYTES)))
        return []

    def close(self) -> None:
        """Close it; all watches end."""
        os.close(self.fd)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
