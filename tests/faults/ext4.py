"""A real file system of its own on a file: for power cuts, full disks and disks that turn read-only."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.faults.workload import shut_down

EXT4: Final = "ext4"
XFS: Final = "xfs"
# Made at once and whole, so that nothing is written later that no test asked for; a small journal, so that
# it comes round.
_MAKE: Final = {
    EXT4: "mkfs.ext4 -q -F -b 4096 -J size=4 -m 0 -O ^resize_inode "
    "-E lazy_itable_init=0,lazy_journal_init=0,nodiscard",
    XFS: "mkfs.xfs -q -f -K",
}
# Commits come every second; images of one origin may be mounted at the same time.
_OPTIONS: Final = {EXT4: "noatime,commit=1", XFS: "noatime,nouuid"}
# The least that mkfs.xfs makes.
SIZE_BYTES: Final = {EXT4: 32 << 20, XFS: 300 << 20}
_PATH: Final = "/usr/sbin:/sbin:/usr/bin:/bin"


class Disk:
    """An image and the folder at which it is mounted. Whoever mounts it unmounts it.

    Attributes:
        image: The file, or device, that holds the file system.
        folder: Where it is mounted.
        kind: ``ext4`` or ``xfs``.
    """

    def __init__(self, image: Path, folder: Path, kind: str = EXT4) -> None:
        """Mount nothing yet; ``folder`` is made if it is not there."""
        self.image = image
        self.folder = folder
        self.kind = kind
        folder.mkdir(exist_ok=True)

    def mount(self) -> None:
        """Mount it, as the kernel finds it: what a journal holds is replayed.

        Raises:
            CalledProcessError: The kernel refuses it.
        """
        command("mount", "-t", self.kind, "-o", f"loop,{_OPTIONS[self.kind]}", self.image, self.folder)

    def unmount(self) -> None:
        """Unmount it, if it is mounted.

        Raises:
            CalledProcessError: Somebody still holds a file of it. It is gone from the tree all the same.
        """
        if not os.path.ismount(self.folder):
            return
        try:
            command("umount", self.folder)
        except subprocess.CalledProcessError:
            command("umount", "-l", self.folder)
            raise

    def shutdown(self) -> None:
        """Let its power fail: what its journal has not written is lost, and every call fails from now on."""
        shut_down(self.folder)

    def remount(self) -> None:
        """Unmount it and mount it again, as a board does that is switched on."""
        self.unmount()
        self.mount()

    def abort(self) -> None:
        """Let it turn read-only in the middle of everything, as it does by itself after an error (ext4)."""
        command("mount", "-o", "remount,abort", self.folder)


def make(image: Path, kind: str = EXT4, size_bytes: int = 0) -> Path:
    """Make a new file system on a new sparse file and return that."""
    with image.open("wb") as file:
        file.truncate(size_bytes or SIZE_BYTES[kind])
    command(*_MAKE[kind].split(), image)
    return image


@contextlib.contextmanager
def mounted(folder: Path, kind: str = EXT4, size_bytes: int = 0) -> Iterator[Disk]:
    """Make a file system in ``folder``, mount it at ``folder/disk``, and unmount it whatever happens.

    Args:
        folder: An existing folder; it gets the image and the mount.
        kind: ``ext4`` or ``xfs``.
        size_bytes: Size of the image; 0 for the usual one.
    """
    disk = Disk(make(folder / f"{kind}.img", kind, size_bytes), folder / "disk", kind)
    disk.mount()
    try:
        yield disk
    finally:
        disk.unmount()


def command(*words: str | Path) -> str:
    """Run a program of the system and return what it says.

    Raises:
        CalledProcessError: It failed; its standard error is a note of it.
    """
    path = f"{os.environ.get('PATH', '')}:{_PATH}"
    ended = subprocess.run(
        [str(word) for word in words],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PATH": path, "LC_ALL": "C"},
    )
    if ended.returncode:
        raise subprocess.CalledProcessError(ended.returncode, ended.args, ended.stdout, ended.stderr)
    return ended.stdout
