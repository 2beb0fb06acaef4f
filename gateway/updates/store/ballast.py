"""A little room held back, given up when a record must be written and the disk is full."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from gateway.updates.store.durable import discard, write_new
from gateway.updates.store.failpoints import failpoint
from gateway.updates.store.trouble import FULL

BALLAST_BYTES: Final = 64 << 10

_T = TypeVar("_T")


class Ballast:
    """The file ``state/.reserve``. Used by the process that writes records, one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def make(self) -> bool:
        """See to it that the room is held; return False if there is none to hold."""
        if self.is_whole():
            return True
        try:
            discard(self._path)
            # Random bytes: a file system that compresses must not find them to be nothing.
            write_new(self._path, os.urandom(BALLAST_BYTES), 0o600, "ballast")
        except OSError:
            return False
        return True

    def is_whole(self) -> bool:
        """Say whether the room is held."""
        try:
            facts = self._path.lstat()
        except OSError:
            return False
        return stat.S_ISREG(facts.st_mode) and facts.st_size == BALLAST_BYTES <= facts.st_blocks * 512

    def spend_on(self, work: Callable[[], _T]) -> _T:
        """Do what must be written; if the disk is full, give up the room and do it once more.

        Raises:
            OSError: It did not work, or not even so.
        """
        try:
            return work()
        except OSError as error:
            if error.errno not in FULL or not self._drop():
                raise
        return work()

    def _drop(self) -> bool:
        """Give the room up; return False if none was held."""
        try:
            failpoint("ballast.drop")
            self._path.unlink()
        except OSError:
            return False
        return True
