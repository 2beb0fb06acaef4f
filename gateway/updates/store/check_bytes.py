"""Checks every byte of the store: blobs, what is still coming, and the folders of releases."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from gateway.errors import GatewayError, ManifestRefused, StoreFailed
from gateway.updates.manifest import read_manifest
from gateway.updates.names import checked_digest
from gateway.updates.release import CHUNK_BYTES, Blob, Release, manifest_digest
from gateway.updates.state import ModelRecord
from gateway.updates.store.durable import discard, sync_folder
from gateway.updates.store.finding import Act, Finding, Problem, Severity
from gateway.updates.store.layout import MANIFEST_FILE, TEMPORARY, Layout, digest_of_part, number_of
from gateway.updates.store.partial import PartialBlob
from gateway.updates.store.reading import opened, pieces, sha256_of
from gateway.updates.store.releases import is_whole, listed, read_signed, stage


@dataclass(slots=True)
class Bytes:
    """One pass over all bytes; what has several names is hashed once.

    Attributes:
        layout: Where.
        records: What is known of each model: a release that a record names is never removed.
        hashed: Digests by device and inode.
    """

    layout: Layout
    records: Mapping[str, ModelRecord]
    hashed: dict[tuple[int, int], str] = field(default_factory=dict)

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong; each is to be mended, if at all, before the next is asked for.

        Raises:
            OSError: A folder cannot be read.
        """
        blobs = self._signed_blobs()
        yield from self._blobs(blobs)
        yield from self._parts()
        for folder in sorted(self.layout.releases.iterdir()):
            if folder.name.startswith(TEMPORARY):
                continue
            if folder.is_symlink() or not folder.is_dir():
                yield self._stray(folder)
                continue
            for path in sorted(folder.iterdir()):
                if not path.name.startswith(TEMPORARY):
                    yield from self._release(folder.name, path)

    def _signed_blobs(self) -> dict[str, Blob]:
        """Return every blob that a readable manifest in the store describes."""
        found: dict[str, Blob] = {}
        for folder in self.layout.releases.iterdir():
            for path in folder.iterdir() if folder.is_dir() and not folder.is_symlink() else ():
                release = self._read(folder.name, path)[0]
                found.update({blob.sha256: blob for blob in release.blobs()} if release else {})
        return found

    def _read(self, model: str, path: Path) -> tuple[Release | None, str, str]:
        """Return a release as its folder's manifest says it, or None and why not; and the digest."""
        number = number_of(path.name)
        if number is None:
            return None, "it is no release of the store's making", ""
        try:
            manifest = read_signed(self.layout, model, number)
            release = read_manifest(manifest)
        except GatewayError as error:
            return None, error.message, ""
        if (release.model, release.number) != (model, number):
            return None, f"its manifest is of {release.model} {release.number}", ""
        return release, "", manifest_digest(manifest)

    def _blobs(self, blobs: Mapping[str, Blob]) -> Iterator[Problem]:
        for path in sorted(self.layout.blobs.iterdir()):
            if path.name.startswith(TEMPORARY):
                continue
            try:
                checked_digest(path.name, "blob")
                digest = self._digest(path)
            except ManifestRefused:
                yield self._stray(path)
                continue
            except FileNotFoundError:  # collected by the gateway meanwhile
                continue
            except (StoreFailed, OSError) as error:
                yield self._bad_blob(path, blobs.get(path.name), str(error))
                continue
            if digest != path.name:
                yield self._bad_blob(path, blobs.get(path.name), "its bytes are not those that were signed")
            elif stat.S_IMODE(path.lstat().st_mode) != 0o444:
                yield self._wrong_mode(path, 0o444)

    def _bad_blob(self, path: Path, blob: Blob | None, problem: str) -> Problem:
        good = [] if blob is None else self._good_chunks(path, blob)
        if blob is not None and good:
            rest = len(blob.chunks) - len(good)
            remedy = f"keep {len(good)} good chunks, so that {rest} are fetched again"
        else:
            remedy = "remove it, so that it is fetched again when it is needed"

        def mend() -> None:
            if blob is not None and good:
                self._keep_chunks(path, blob, good)
            discard(path)
            sync_folder(self.layout.blobs, "blob.folder_fsync")

        return Problem(self._finding(path, Severity.DAMAGE, problem, remedy), mend)

    def _good_chunks(self, path: Path, blob: Blob) -> list[int]:
        try:
            with opened(self.layout.root, path) as fd:
                return [
                    index
                    for index, piece in enumerate(pieces(fd, blob.size_bytes))
                    if hashlib.sha256(piece).hexdigest() == blob.chunks[index]
                ]
        except (OSError, StoreFailed):
            return []

    def _keep_chunks(self, path: Path, blob: Blob, good: Collection[int]) -> None:
        partial = PartialBlob(self.layout, blob)
        try:
            with opened(self.layout.root, path) as fd:
                for index in good:
                    partial.write(index, os.pread(fd, CHUNK_BYTES, index * CHUNK_BYTES))
        finally:
            partial.close()

    def _parts(self) -> Iterator[Problem]:
        for path in sorted(self.layout.partial.iterdir()):
            facts = path.lstat()
            is_part = digest_of_part(path.name) is not None and stat.S_ISREG(facts.st_mode)
            if not path.name.startswith(TEMPORARY) and not (is_part and facts.st_nlink == 1):
                yield self._stray(path)

    def _release(self, model: str, path: Path) -> Iterator[Problem]:
        release, why, digest = self._read(model, path)
        if release is not None and self._known_digest(model, release.number) not in ("", digest):
            release, why = None, "its manifest is not the one that was installed"
        faults = [(path, why)] if release is None else list(self._faults(path, release))
        if faults:
            remedy, mend = self._cure(model, path, release)
            for where, problem in faults:
                finding = self._finding(where, Severity.DAMAGE, problem, remedy)
                yield Problem(replace(finding, release=f"{model} {path.name}"), mend)
            return
        for folder in (path, *(each for each in sorted(path.iterdir()) if each.is_dir())):
            if stat.S_IMODE(folder.lstat().st_mode) != 0o555:
                yield self._wrong_mode(folder, 0o555)

    def _faults(self, folder: Path, release: Release) -> Iterator[tuple[Path, str]]:
        """Yield each file that is not as the manifest says, with what is wrong."""
        wanted = {file.path: file.blob for file in release.files}
        for name in sorted(set(listed(folder)) - {MANIFEST_FILE, *wanted}):
            yield folder / name, "it does not belong to the release"
        for name, blob in wanted.items():
            path = folder / name
            try:
                if self._digest(path) != blob.sha256:
                    yield path, "its bytes are not those that were signed"
                elif path.lstat().st_mode & 0o222:
                    yield path, "it can be written to"
            except (StoreFailed, OSError) as error:
                yield path, getattr(error, "message", "") or str(error)

    def _cure(self, model: str, folder: Path, release: Release | None) -> tuple[str, Act | None]:
        """Return the best that can be done about a damaged release, in words and as an act (done once)."""
        number = number_of(folder.name)
        if number is None or number not in self._named(model):
            return "remove the release: nothing needs it", cache(lambda: discard(folder))
        if release is not None and all(self._is_good(blob) for blob in release.blobs()):
            return "make its folder anew of its blobs", cache(lambda: self._restage(release))
        return "the gateway fetches what is missing, or goes back to the release before", None

    def _restage(self, release: Release) -> None:
        manifest = read_signed(self.layout, release.model, release.number)
        stage(self.layout, release, manifest)
        if not is_whole(self.layout, release, manifest_digest(manifest)):
            raise StoreFailed(f"release {release.number} of {release.model}: it is still damaged")

    def _is_good(self, blob: Blob) -> bool:
        try:
            return self._digest(self.layout.blob(blob.sha256)) == blob.sha256
        except (OSError, StoreFailed):
            return False

    def _digest(self, path: Path) -> str:
        with opened(self.layout.root, path) as fd:
            facts = os.fstat(fd)
            key = (facts.st_dev, facts.st_ino)
            if key not in self.hashed:
                self.hashed[key] = sha256_of(fd, facts.st_size)
            return self.hashed[key]

    def _known_digest(self, model: str, number: int) -> str:
        record = self.records.get(model, ModelRecord(model))
        refs = [ref for ref in (record.active, record.previous, record.candidate) if ref is not None]
        return next((ref.digest for ref in refs if ref.number == number), "")

    def _named(self, model: str) -> set[int]:
        record = self.records.get(model, ModelRecord(model))
        refs = (record.active, record.previous, record.candidate)
        return {ref.number for ref in refs if ref is not None}

    def _wrong_mode(self, path: Path, mode: int) -> Problem:
        problem = f"its permissions are {stat.S_IMODE(path.lstat().st_mode):04o} instead of {mode:04o}"
        return Problem(self._finding(path, Severity.DAMAGE, problem, "set them"), lambda: path.chmod(mode))

    def _stray(self, path: Path) -> Problem:
        problem = "it is nothing of the store's making"
        return Problem(self._finding(path, Severity.DAMAGE, problem, "remove it"), lambda: discard(path))

    def _finding(self, path: Path, severity: Severity, problem: str, remedy: str) -> Finding:
        return Finding(str(path.relative_to(self.layout.root)), severity, problem, remedy)
