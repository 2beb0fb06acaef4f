"""Says what a machine lacks for the crash tests, so that nothing that is not tried passes silently."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

ROOT_USER: Final = "root"
FUSE: Final = "/dev/fuse"
LOOP: Final = "/dev/loop-control"
# Programs by the packages of Debian that bring them.
PACKAGES: Final[Mapping[str, str]] = {
    "strace": "strace",
    "fusermount3": "fuse3",
    "losetup": "mount",
    "mkfs.ext4": "e2fsprogs",
    "mkfs.xfs": "xfsprogs",
    "gcc": "gcc",
}
_PATH: Final = "/usr/sbin:/sbin:/usr/bin:/bin"


def missing(needs: Iterable[str]) -> list[str]:
    """Return which of these the machine has not got.

    Args:
        needs: ``ROOT_USER``, a device's path, or the name of a program.
    """
    return [need for need in needs if not _is_there(need)]


def _is_there(need: str) -> bool:
    if need == ROOT_USER:
        return os.geteuid() == 0
    if need.startswith("/"):
        return Path(need).exists() and os.access(need, os.R_OK | os.W_OK)
    return shutil.which(need, path=f"{os.environ.get('PATH', '')}:{_PATH}") is not None


def work_folder() -> str | None:
    """Return where images are quickest: memory, if the machine has a folder there with room; else None."""
    memory = Path("/dev/shm")
    try:
        room = os.statvfs(memory)
    except OSError:
        return None
    return str(memory) if room.f_bavail * room.f_frsize > 1 << 30 and os.access(memory, os.W_OK) else None
