"""The model store on disk: what a board has of its releases, kept so that any power cut leaves old or new."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.errors import DiskFull, StoreFailed
from gateway.updates.release import Blob, Release, ReleaseRef
from gateway.updates.state import ModelRecord
from gateway.updates.store import recovery, releases
from gateway.updates.store.audit import AuditLog, Head
from gateway.updates.store.ballast import Ballast
from gateway.updates.store.check import check
from gateway.updates.store.collect import Collected, collect, disk_bytes
from gateway.updates.store.durable import make_folder, sync_folder
from gateway.updates.store.finding import Finding
from gateway.updates.store.layout import Layout
from gateway.updates.store.locking import adopt, take
from gateway.updates.store.partial import PartialBlob
from gateway.updates.store.quarantine import Entry, Quarantine
from gateway.updates.store.reading import is_sound
from gateway.updates.store.records import Records
from gateway.updates.store.trouble import told

RESERVE_SHARE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Usage:
    """Room on the disk.

    Attributes:
        store_bytes: What the store takes.
        quota_bytes: What it may take.
        disk_free_bytes: What is free on its disk for us.
    """

    store_bytes: int
    quota_bytes: int
    disk_free_bytes: int


class Store:
    """One model store, opened for writing.

    Everything blocks. Threads may share it, save that each ``PartialBlob`` is one
    thread's. The process that took the lock writes records, quarantine and audit
    log; a child that adopted it writes blobs and releases, and only reads the rest.

    Attributes:
        root: The folder, with links resolved.
        trust_folder: ``trust/``, which the updater's trust keeps for itself.
        lock_fd: The lock; give it to a child with ``pass_fds``.
        quota_bytes: What the store may take; may be changed at any time.
        reserve_bytes: What is left free on the disk, if a twentieth of the disk is not more.
    """

    def __init__(self, layout: Layout, lock_fd: int, *, keeper: bool, limits: tuple[int, int]) -> None:
        """Wrap a prepared folder; ``open`` is the way in."""
        self.layout = layout
        self.root = layout.root
        self.trust_folder = layout.trust
        self.lock_fd = lock_fd
        self.quota_bytes, self.reserve_bytes = limits
        self._guard = threading.RLock()
        self._audit = AuditLog(layout)
        self._ballast = Ballast(layout.ballast)
        self._records = Records(layout, self._ballast, mends=keeper, tell=self._record_set_aside)
        self._quarantine = Quarantine(layout, self._ballast, mends=keeper, tell=self._quarantine_set_aside)

    @classmethod
    def open(cls, root: Path, *, quota_bytes: int, reserve_bytes: int, lock_fd: int | None = None) -> Store:
        """Open a store, making its folders if need be. On a read-only disk all can be read, and nothing done.

        Args:
            root: Its folder.
            quota_bytes: Most bytes that it may take.
            reserve_bytes: Bytes of the disk that are left free.
            lock_fd: The lock, inherited from the process that took it; None to take it. Only who takes it
                clears leftovers away, makes the links for people anew and holds the ballast.

        Raises:
            StoreBusy: Another process has the lock.
            StoreFailed: The folder cannot be used, or is another user's.
        """
        with told(f"model store {root}"):
            root.mkdir(mode=0o750, parents=True, exist_ok=True)
            layout = Layout(root.resolve(strict=True))
            for folder, mode in layout.folders().items():
                if make_folder(folder, mode):
                    sync_folder(folder.parent, "open.folder_fsync")
            recovery.check_one_disk(layout)
        if lock_fd is None:
            fd = take(layout.lock)
        else:
            adopt(lock_fd, layout.lock)
            fd = lock_fd
        store = cls(layout, fd, keeper=lock_fd is None, limits=(quota_bytes, reserve_bytes))
        if lock_fd is None:
            try:
                store._recover()
            except BaseException:
                store.close()
                raise
        return store

    def close(self) -> None:
        """Let the lock go, unless a child still has it. Idempotent."""
        fd, self.lock_fd = self.lock_fd, -1
        if fd >= 0:
            os.close(fd)

    def _recover(self) -> None:
        with told(f"model store {self.root}"):
            recovery.clear_leftovers(self.layout)
        recovery.relink(self.layout, self.records())
        self._ballast.make()

    # Records.

    def record(self, model: str) -> ModelRecord:
        """Return a model's record.

        A file that cannot be read is set aside (``state/<model>.json.bad-<n>``), told to the audit log,
        and answered by a new record that has the old floor.

        Raises:
            ManifestRefused: ``model`` is no name.
            StoreFailed: The disk cannot be read.
        """
        with self._guard:
            return self._records.read(model)

    def records(self) -> dict[str, ModelRecord]:
        """Return the records of all models of which anything is known.

        Raises:
            StoreFailed: The disk cannot be read.
        """
        with self._guard:
            return {model: self._records.read(model) for model in self._records.models()}

    def commit(self, record: ModelRecord) -> None:
        """Make a record the one that counts; durable when this returns.

        To commit the very record that is there once more is allowed, and writes it again.

        Raises:
            LostRace: ``record.seq`` is not one more than on disk (``seq``).
            DiskFull: No room, not even the ballast's; the old record stays.
            StoreFailed: The disk did not take it: commit the same again to know.
            GatewayBug: The floor would fall, or the phase is none of ``DURABLE``.
            ManifestRefused: The model's name is none.
        """
        with self._guard:
            self._records.commit(record)
            recovery.relink_one(self.layout, record)

    # Blobs and releases.

    def has(self, blob: Blob) -> bool:
        """Say whether a complete blob is there. Its bytes are hashed when it is staged, not here."""
        try:
            facts = self.layout.blob(blob.sha256).lstat()
        except OSError:
            return False
        return is_sound(facts, os.geteuid(), blob.size_bytes)

    def blob_path(self, sha256: str) -> Path:
        """Return where a complete blob lies.

        Raises:
            ManifestRefused: ``sha256`` is no digest.
        """
        return self.layout.blob(sha256)

    def needed_bytes(self, release: Release) -> int:
        """Return the room that a release's blobs still need: those that are not there and not begun."""
        return sum(
            blob.size_bytes
            for blob in release.blobs()
            if not self.has(blob) and not self.layout.part(blob.sha256).exists()
        )

    def preflight(self, needed_bytes: int) -> None:
        """Refuse what would not fit.

        Raises:
            DiskFull: The quota, or the disk less what is left free on it, has no room for ``needed_bytes``
                (attributes ``needed_bytes`` and ``free_bytes``).
            StoreFailed: The disk cannot be asked.
        """
        usage = self.usage()
        with told(f"model store {self.root}"):
            disk = os.statvfs(self.root)
        reserve = max(int(RESERVE_SHARE * disk.f_blocks * disk.f_frsize), self.reserve_bytes)
        rooms = {
            "updates.quota_bytes": usage.quota_bytes - usage.store_bytes,
            f"the disk, of which {reserve} bytes are left free,": usage.disk_free_bytes - reserve,
        }
        for what, room in rooms.items():
            if needed_bytes > max(0, room):
                raise DiskFull(
                    f"{needed_bytes} bytes are needed and {what} has room for {max(0, room)}",
                    needed_bytes=needed_bytes,
                    free_bytes=max(0, room),
                )

    def partial(self, blob: Blob) -> PartialBlob:
        """Begin a blob, or go on with what lies there: good chunks are kept, others are missing.

        Raises:
            DiskFull: There is no room for it (``needed_bytes``, ``free_bytes``).
            StoreFailed: The disk does not do it.
            ManifestRefused: The blob's chunks do not add up.
        """
        try:
            return PartialBlob(self.layout, blob)
        except DiskFull as error:
            free = self.usage().disk_free_bytes
            raise DiskFull(error.message, needed_bytes=blob.size_bytes, free_bytes=free) from error

    def stage(self, release: Release, manifest: bytes) -> Path:
        """Make a release's folder of blobs that are all there; durable when this returns. Idempotent.

        Raises:
            StoreFailed: A blob is missing or damaged (``blob``; it is fetched again then), the number is
                taken by another release that a record names, or the disk does not do it.
            DiskFull: There is no room for it.
            ManifestRefused: A file has a name that the store needs.
        """
        releases.check_number(self.record(release.model), release, manifest)
        return releases.stage(self.layout, release, manifest)

    def release_folder(self, model: str, number: int) -> Path:
        """Return the folder of a release.

        Raises:
            ManifestRefused: The name or number is none.
        """
        return self.layout.release(model, number)

    def manifest(self, model: str, number: int) -> bytes:
        """Return the manifest of a staged release.

        Raises:
            StoreFailed: It is not there.
            ManifestRefused: The name or number is none.
        """
        return releases.read_signed(self.layout, model, number)

    def verify(self, model: str, ref: ReleaseRef) -> None:
        """Hash a release's manifest and every file of it.

        Raises:
            StoreFailed: One is missing or damaged, or does not belong there (``file``).
            ManifestRefused: The manifest is the one that was installed, and this gateway cannot read it.
        """
        releases.verify(self.layout, model, ref)

    # Quarantine and audit.

    def quarantine(self, model: str, ref: ReleaseRef, code: str, reason: str, now_unix_s: int) -> None:
        """Remember that a release failed here; durable when this returns.

        Raises:
            DiskFull: No room, not even the ballast's.
            StoreFailed: The disk did not take it.
        """
        with self._guard:
            self._quarantine.add(Entry(model, ref.number, ref.digest, code, reason, now_unix_s))

    def quarantined(self, model: str, ref: ReleaseRef, now_unix_s: int, ttl_s: float) -> str | None:
        """Return why a release is not tried; None if it may be.

        Args:
            model: Whose release.
            ref: Which.
            now_unix_s: The time.
            ttl_s: How long a failure counts; 0 for ever.

        Raises:
            StoreFailed: The disk cannot be read.
        """
        with self._guard:
            entry = self._quarantine.find(model, ref, now_unix_s, ttl_s)
        return None if entry is None else f"{entry.code}: {entry.reason}"

    def quarantine_entries(self) -> tuple[Entry, ...]:
        """Return all that is remembered of failed releases, the oldest first.

        Raises:
            StoreFailed: The disk cannot be read.
        """
        with self._guard:
            return self._quarantine.entries()

    def clear_quarantine(self, model: str, number: int) -> bool:
        """Forget what is held against a release; return False if nothing was.

        Raises:
            DiskFull: No room, not even the ballast's.
            StoreFailed: The disk did not take it.
        """
        with self._guard:
            return self._quarantine.clear(model, number)

    def audit(self, event: str, **fields: str | float) -> None:
        """Add a line to the audit log; durable when this returns.

        Raises:
            DiskFull: There is no room.
            StoreFailed: The disk did not take it.
        """
        with self._guard:
            self._audit.append(event, int(time.time()), fields)

    def audit_head(self) -> Head:
        """Return where the audit log's chain is; kept elsewhere, it proves that lines were cut off.

        Raises:
            StoreFailed: The log cannot be read.
        """
        with self._guard:
            return self._audit.head()

    # Room.

    def collect(self, keep_releases: int, spare: Iterable[Release] = ()) -> Collected:
        """Give back room. What a record names as active, previous or candidate is never touched.

        Args:
            keep_releases: So many of the newest other releases of each model stay.
            spare: Releases on their way that no record names yet: their folders, blobs and chunks stay.

        Raises:
            StoreFailed: The disk does not do it.
        """
        with self._guard:
            collected = collect(self.layout, self.records(), keep_releases, spare)
            self._ballast.make()
        return collected

    def usage(self) -> Usage:
        """Return the room that the store takes, may take, and that its disk has.

        Raises:
            StoreFailed: The disk cannot be asked.
        """
        with told(f"model store {self.root}"):
            disk = os.statvfs(self.root)
            return Usage(disk_bytes(self.layout), self.quota_bytes, disk.f_bavail * disk.f_frsize)

    def check(self, *, mend: bool = False) -> list[Finding]:
        """Read every byte of the store and return what is not as it should be.

        Args:
            mend: Whether to do what each finding's remedy says; not while a child is at work.

        Raises:
            StoreFailed: A folder cannot be read.
        """
        if not mend:  # it takes long: nobody waits for it
            return check(self.layout, mend=False, settled=False, tell=self._tell)
        with self._guard:
            return check(self.layout, mend=True, settled=True, tell=self._tell)

    def _record_set_aside(self, model: str, name: str, reason: str) -> None:
        self._tell("record_set_aside", model=model, file=name, reason=reason)

    def _quarantine_set_aside(self, name: str, reason: str) -> None:
        self._tell("quarantine_set_aside", file=name, reason=reason)

    def _tell(self, event: str, **fields: str | float) -> None:
        """Audit what was found while reading; a log that cannot be written must not stop the reading."""
        try:
            self.audit(event, **fields)
        except (DiskFull, StoreFailed):
            return
