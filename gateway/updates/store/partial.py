"""A blob on its way in: chunks are checked before they are written, and the whole before it gets its name.

Whoever is killed at any point goes on where it stopped: the chunks that lie
there are hashed, and only missing or damaged ones are fetched again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from pathlib import Path
from typing import Final

from gateway.errors import FetchRefused, GatewayBug, ManifestRefused, StoreFailed
from gateway.updates.release import CHUNK_BYTES, MOST_FILE_BYTES, Blob
from gateway.updates.store.durable import create, discard, rename, sync_folder, write_all
from gateway.updates.store.failpoints import failpoint
from gateway.updates.store.layout import Layout
from gateway.updates.store.reading import opened, pieces, sha256_of
from gateway.updates.store.trouble import FULL, refusal, told

# Dirty pages are brought to the disk this often, so that the last fsync is not the first.
SYNC_BYTES: Final = 8 << 20


class PartialBlob:
    """One blob's chunks as they come. Owns a descriptor until ``finish`` or ``close``; for one thread."""

    def __init__(self, layout: Layout, blob: Blob) -> None:
        """Go on with what is there, or begin.

        Raises:
            DiskFull: There is no room for the whole blob (``needed_bytes``).
            StoreFailed: The disk does not do it.
            ManifestRefused: The blob's chunks do not add up to its size.
        """
        check_chunks(blob)
        self.blob = blob
        self._layout = layout
        self._path = layout.part(blob.sha256)
        self._unsynced_bytes = 0
        with told(f"blob {blob.sha256[:12]}"):
            fd = self._resume()
            self._fd = self._begin() if fd is None else fd
            self._missing = set(range(len(blob.chunks)))
            if fd is not None:
                self._missing -= self._good_chunks()

    def missing(self) -> list[int]:
        """Return the indices of the chunks that are not there yet, rising."""
        return sorted(self._missing)

    def write(self, index: int, data: bytes | memoryview) -> None:
        """Check one chunk and write it.

        Raises:
            FetchRefused: It is not the chunk that the manifest names (``chunk``); nothing was written.
            DiskFull: No room; what was written stays.
            StoreFailed: The disk did not take it: all that was written is given up.
        """
        if self._fd < 0 or not 0 <= index < len(self.blob.chunks):
            raise FetchRefused(f"blob {self.blob.sha256[:12]}: there is no chunk {index}", chunk=index)
        if hashlib.sha256(data).hexdigest() != self.blob.chunks[index]:
            raise FetchRefused(
                f"blob {self.blob.sha256[:12]}: what came as chunk {index} is not what was signed",
                chunk=index,
            )
        if index not in self._missing:
            return
        try:
            failpoint("part.write")
            write_all(self._fd, data, index * CHUNK_BYTES)
            self._unsynced_bytes += len(data)
            if self._unsynced_bytes >= SYNC_BYTES:
                self._sync()
        except OSError as error:
            if error.errno not in FULL:
                self._give_up()
            raise refusal(f"blob {self.blob.sha256[:12]}", error) from error
        self._missing.discard(index)

    def finish(self) -> Path:
        """Seal the blob, read it back, and give it its name; durable when this returns.

        Raises:
            StoreFailed: The disk failed or gives other bytes back than it got: all is given up.
            ManifestRefused: Every chunk is as signed, but the whole is not: the manifest contradicts itself.
            GatewayBug: Chunks are missing.
        """
        if self._missing or self._fd < 0:
            raise GatewayBug(f"blob {self.blob.sha256[:12]}: {len(self._missing)} chunks are missing")
        target = self._layout.blob(self.blob.sha256)
        try:
            failpoint("part.seal")
            os.fchmod(self._fd, 0o444)
            failpoint("part.fsync")
            os.fsync(self._fd)
            self._read_back()
            if target.is_dir():  # planted: a file cannot be renamed over it
                discard(target)
            rename(self._path, target, "blob.rename")
        except OSError as error:
            self._give_up()
            raise refusal(f"blob {self.blob.sha256[:12]}", error) from error
        self.close()
        with told(f"blob {self.blob.sha256[:12]}"):
            sync_folder(self._layout.blobs, "blob.folder_fsync")
            sync_folder(self._layout.partial, "part.folder_fsync")
        return target

    def close(self) -> None:
        """Let go; what was written stays for the next time. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _resume(self) -> int | None:
        """Open what is there; None if it is nothing that can be gone on with (then it is gone)."""
        try:
            with opened(self._layout.root, self._path) as fd:
                facts = os.fstat(fd)
                if facts.st_size != self.blob.size_bytes or facts.st_nlink != 1:
                    raise StoreFailed("it is no file of the store's making")
                os.fchmod(fd, 0o600)  # it may have been sealed already
                writable = os.open(self._path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
                if not os.path.samestat(facts, os.fstat(writable)):
                    os.close(writable)
                    raise StoreFailed("it was exchanged meanwhile")
                return writable
        except FileNotFoundError:
            return None
        except StoreFailed:
            discard(self._path)
            return None

    def _begin(self) -> int:
        fd = create(self._path, 0o600, "part.create")
        try:
            failpoint("part.allocate")
            allocate(fd, self.blob.size_bytes)
        except OSError:
            os.close(fd)
            with contextlib.suppress(OSError):
                self._path.unlink()
            raise
        return fd

    def _good_chunks(self) -> set[int]:
        return {
            index
            for index, piece in enumerate(pieces(self._fd, self.blob.size_bytes))
            if hashlib.sha256(piece).hexdigest() == self.blob.chunks[index]
        }

    def _sync(self) -> None:
        failpoint("part.fdatasync")
        os.fdatasync(self._fd)
        self._unsynced_bytes = 0

    def _read_back(self) -> None:
        """Hash what the disk holds, not what the page cache remembers having sent it."""
        failpoint("part.read_back")
        os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)
        if sha256_of(self._fd, self.blob.size_bytes) == self.blob.sha256:
            return
        whole = len(self._good_chunks()) == len(self.blob.chunks)
        self._give_up()
        if whole:
            raise ManifestRefused(f"blob {self.blob.sha256}: its chunks are as signed, the whole is not")
        raise StoreFailed(f"blob {self.blob.sha256[:12]}: the disk gives other bytes back than it was given")

    def _give_up(self) -> None:
        """Unlink the file: after a failed sync its pages look good and may be lost. Next time a new inode."""
        with contextlib.suppress(OSError):
            self._path.unlink()
        self.close()


def check_chunks(blob: Blob) -> None:
    """Refuse a blob whose chunks do not add up to its size.

    Raises:
        ManifestRefused: They do not, or the size is none.
    """
    wanted = -(-blob.size_bytes // CHUNK_BYTES)
    if not 0 <= blob.size_bytes <= MOST_FILE_BYTES or len(blob.chunks) != wanted:
        raise ManifestRefused(
            f"blob {blob.sha256[:64]}: {len(blob.chunks)} chunks do not make {blob.size_bytes} bytes"
        )


def allocate(fd: int, size_bytes: int) -> None:
    """Give a file its size and, where the file system can, its room on the disk.

    Raises:
        OSError: There is no room.
    """
    if not size_bytes:
        return
    try:
        os.posix_fallocate(fd, 0, size_bytes)
    except OSError as error:
        if error.errno in FULL or not stat.S_ISREG(os.fstat(fd).st_mode):
            raise
        os.ftruncate(fd, size_bytes)
