"""Brings the blobs of a release into the store: by patch where that saves bytes, else whole."""

from __future__ import annotations

import contextlib
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.errors import FetchFailed, FetchRefused, ManifestRefused, StoreFailed
from gateway.operations.kernel_bytes import kernel_bytes
from gateway.updates.manifest import DELTA_ALGORITHM
from gateway.updates.release import CHUNK_BYTES, Blob, Delta, Release
from gateway.updates.transport import delta as patches
from gateway.updates.transport.download import Downloader, Fetch, missing_bytes

if TYPE_CHECKING:
    from gateway.updates.store.partial import PartialBlob
    from gateway.updates.store.store import Store

_MOST_TRIES: Final = 2
# Files up to this size come whole under every policy: a card or a list of labels has no patch.
SMALL_BYTES: Final = CHUNK_BYTES


class DeltaPolicy(Enum):
    """When patches are used: where they save bytes, never, or always (metered links)."""

    AUTO = "auto"
    OFF = "off"
    ONLY = "only"


@dataclass(frozen=True, slots=True)
class PatchRules:
    """When a patch is worth it.

    Attributes:
        policy: In general.
        memory_bytes: What one may take of memory under ``AUTO``; under ``ONLY`` half of what is free may go.
    """

    policy: DeltaPolicy = DeltaPolicy.AUTO
    memory_bytes: int = 28 << 20


@dataclass(frozen=True, slots=True)
class Goal:
    """What a fetch of a release is bound by.

    Attributes:
        deadline_s: Monotonic time by which all must be here.
        stop: Set by whoever wants it to end.
        told: Called with the bytes that are there and all bytes.
    """

    deadline_s: float
    stop: threading.Event
    told: Callable[[int, int], None]


class Acquirer:
    """Fetches and stages releases. Blocking.

    Args:
        store: Where they go.
        downloader: Asks the sources.
        rules: When a patch is worth it.
    """

    def __init__(self, store: Store, downloader: Downloader, rules: PatchRules | None = None) -> None:
        self._store = store
        self._downloader = downloader
        self._rules = rules or PatchRules()

    def acquire(self, release: Release, manifest: bytes, goal: Goal) -> Path:
        """Bring a release into the store and stage it; return its folder.

        Raises:
            DiskFull: It does not fit; nothing was fetched.
            FetchRefused: No source has what is missing, or the policy allows no way to it.
            FetchFailed: It did not come in time; what came stays.
            StoreFailed: The store did not take it.
            ManifestRefused: The manifest contradicts itself.
        """
        for left in reversed(range(_MOST_TRIES)):
            self._fetch(release, goal)
            try:
                return self._store.stage(release, manifest)
            except StoreFailed as error:
                # A blob that rotted in the store has lost its name now, and is fetched again.
                if not left or "blob" not in error.attributes:
                    raise
        raise AssertionError  # the last try returned or raised

    def _fetch(self, release: Release, goal: Goal) -> None:
        wanted = [blob for blob in release.blobs() if not self._store.has(blob)]
        plans = [(blob, self._patch_for(release, blob)) for blob in wanted]
        patch_bytes = sum(patch.blob.size_bytes for _, patch in plans if patch is not None)
        self._store.preflight(self._store.needed_bytes(release) + patch_bytes)
        needed = sum(blob.size_bytes for blob in wanted)
        fetch = self._downloader.begin(needed, goal.deadline_s, goal.stop, _Told(goal.told, release, needed))
        for blob, patch in plans:
            fetch.check()
            self._fetch_one(blob, patch, fetch)

    def _fetch_one(self, blob: Blob, patch: Delta | None, fetch: Fetch) -> None:
        with contextlib.closing(self._store.partial(blob)) as incoming:
            missing = missing_bytes(blob, incoming)
            fetch.kept(blob.size_bytes - missing)
            if patch is not None and patch.blob.size_bytes < missing:
                self._patch_or_pass(blob, patch, incoming, fetch)
            self._check_policy(blob, incoming)
            self._downloader.fetch(blob, incoming, fetch)
            incoming.finish()

    def _check_policy(self, blob: Blob, incoming: PartialBlob) -> None:
        only = self._rules.policy is DeltaPolicy.ONLY
        if only and blob.size_bytes > SMALL_BYTES and incoming.missing():
            raise FetchRefused(
                f"blob {blob.sha256[:12]}: updates.deltas is only, and no patch leads to it from here",
                blob=blob.sha256,
            )

    def _patch_or_pass(self, blob: Blob, patch: Delta, incoming: PartialBlob, fetch: Fetch) -> None:
        """Try a patch; what it brought in stays, and what it did not is fetched whole."""
        before = missing_bytes(blob, incoming)
        part = Fetch(patch.blob.size_bytes, fetch.deadline_s, fetch.budget_bytes, fetch.stop, _silent)
        try:
            if not self._store.has(patch.blob):
                with contextlib.closing(self._store.partial(patch.blob)) as patch_in:
                    self._downloader.fetch(patch.blob, patch_in, part)
                    patch_in.finish()
            old, new = (self._store.blob_path(each) for each in (patch.from_sha256, patch.blob.sha256))
            patches.apply(patch, old, new, blob, incoming)
        except (FetchRefused, FetchFailed, ManifestRefused):
            fetch.check()
            if self._rules.policy is DeltaPolicy.ONLY:
                raise
        finally:
            fetch.budget_bytes, fetch.come_bytes = part.budget_bytes, fetch.come_bytes + part.come_bytes
            fetch.kept(before - missing_bytes(blob, incoming))

    def _patch_for(self, release: Release, blob: Blob) -> Delta | None:
        """Return the smallest patch that leads to a blob from one that is here, if memory allows."""
        if self._rules.policy is DeltaPolicy.OFF or not patches.can_patch():
            return None
        fit = [
            each
            for each in release.deltas
            if each.to_sha256 == blob.sha256
            and each.algorithm == DELTA_ALGORITHM
            and each.blob.size_bytes < blob.size_bytes
            and self._fits_memory(each.from_sha256, blob)
        ]
        return min(fit, key=lambda each: each.blob.size_bytes, default=None)

    def _fits_memory(self, from_sha256: str, blob: Blob) -> bool:
        try:
            found = self._store.blob_path(from_sha256).lstat()
        except OSError:
            return False
        if not stat.S_ISREG(found.st_mode):
            return False
        room = _free_memory_bytes() // 2
        if self._rules.policy is DeltaPolicy.AUTO:
            room = min(room, self._rules.memory_bytes)
        return patches.memory_bytes(found.st_size, blob.size_bytes) <= room


class _Told:
    """Tells of the whole release, though a fetch knows only what was missing."""

    def __init__(self, told: Callable[[int, int], None], release: Release, needed_bytes: int) -> None:
        self._told = told
        self._total_bytes = release.size_bytes
        self._before_bytes = release.size_bytes - needed_bytes

    def __call__(self, good_bytes: int, _needed_bytes: int) -> None:
        self._told(self._before_bytes + good_bytes, self._total_bytes)


def _silent(_good_bytes: int, _total_bytes: int) -> None:
    """Tell nobody: a patch is no part of the release."""


def _free_memory_bytes() -> int:
    """Return what the system could give without swapping; 0 if it does not say."""
    with contextlib.suppress(OSError, ValueError):
        return kernel_bytes("/proc/meminfo", "MemAvailable")
    return 0
