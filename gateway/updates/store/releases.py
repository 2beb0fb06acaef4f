"""Release folders: hard links to blobs beside their manifest, made aside and then renamed into place."""

from __future__ import annotations

import os
from pathlib import Path

from gateway.errors import GatewayError, ManifestRefused, StoreFailed
from gateway.updates.release import MOST_MANIFEST_BYTES, Blob, Release, ReleaseRef, manifest_digest
from gateway.updates.state import ModelRecord
from gateway.updates.store.durable import discard, make_folder, rename, sync_folder, write_new
from gateway.updates.store.failpoints import failpoint
from gateway.updates.store.layout import GOING, MANIFEST_FILE, TEMPORARY, Layout
from gateway.updates.store.reading import opened, read_small, sha256_of
from gateway.updates.store.trouble import told


def stage(layout: Layout, release: Release, manifest: bytes) -> Path:
    """Make a release's folder of the blobs that are there, durably; return it.

    A folder that is there and good stays; one that is damaged is replaced. A blob
    that turns out to be damaged loses its name, so that it is fetched again.

    Args:
        layout: Where.
        release: What the manifest says.
        manifest: The signed bytes.

    Raises:
        StoreFailed: A blob is missing or damaged (``blob``), or the disk does not do it.
        DiskFull: There is no room for the links.
        ManifestRefused: A file has the manifest's own name.
    """
    what = f"release {release.number} of {release.model}"
    if any(file.path == MANIFEST_FILE for file in release.files):
        raise ManifestRefused(f"{what}: no file of a release may be called {MANIFEST_FILE}")
    target = layout.release(release.model, release.number)
    with told(what):
        if is_whole(layout, release, manifest_digest(manifest)):
            sync_folder(target.parent, "release.folder_fsync")
            return target
        failpoint("release.make")
        if make_folder(target.parent, 0o750):
            sync_folder(layout.releases, "release.folder_fsync")
        new = target.with_name(f"{TEMPORARY}{release.number}")
        discard(new)
        make_folder(new, 0o700)
        _link_all(layout, release, new)
        write_new(new / MANIFEST_FILE, manifest, 0o444, "release")
        _seal(new)
        if target.is_symlink() or target.exists():
            going = target.with_name(f"{GOING}{release.number}")
            discard(going)
            rename(target, going, "release.away")
        rename(new, target, "release.rename")
        sync_folder(target.parent, "release.folder_fsync")
        discard(target.with_name(f"{GOING}{release.number}"))
    return target


def is_whole(layout: Layout, release: Release, digest: str) -> bool:
    """Say whether a release's folder is there with every byte of it."""
    try:
        if manifest_digest(read_signed(layout, release.model, release.number)) != digest:
            return False
        _check_files(layout, release)
    except GatewayError:
        return False
    return True


def read_signed(layout: Layout, model: str, number: int) -> bytes:
    """Return the manifest that lies in a release's folder; whether it is the signed one, its digest tells.

    Raises:
        StoreFailed: It is not there, or cannot be read.
    """
    with told(f"release {number} of {model}: its manifest"):
        path = layout.release(model, number) / MANIFEST_FILE
        return read_small(layout.root, path, MOST_MANIFEST_BYTES)


def verify(layout: Layout, model: str, ref: ReleaseRef) -> None:
    """Hash the manifest and every file of a release.

    Raises:
        StoreFailed: One is missing, damaged, no regular file, or one too many (``file``).
        ManifestRefused: The manifest is the signed one, and cannot be read by this gateway.
    """
    from gateway.updates.manifest import read_manifest

    manifest = read_signed(layout, model, ref.number)
    if manifest_digest(manifest) != ref.digest:
        raise StoreFailed(
            f"release {ref.number} of {model}: its manifest is not the one that was installed",
            file=MANIFEST_FILE,
        )
    release = read_manifest(manifest)
    if (release.model, release.number) != (model, ref.number):
        raise StoreFailed(
            f"release {ref.number} of {model}: its manifest is of {release.model} {release.number}",
            file=MANIFEST_FILE,
        )
    _check_files(layout, release)


def _check_files(layout: Layout, release: Release) -> None:
    """Hash every file of a release's folder but the manifest against what the release says.

    Raises:
        StoreFailed: One is missing, damaged, no regular file, or one too many (``file``).
    """
    folder = layout.release(release.model, release.number)
    what = f"release {release.number} of {release.model}"
    wanted = {MANIFEST_FILE, *(file.path for file in release.files)}
    with told(what):
        extra = sorted(set(listed(folder)) - wanted)
    if extra:
        raise StoreFailed(f"{what}: {extra[0][:80]!a} does not belong to it", file=extra[0])
    for file in release.files:
        fault = _fault(layout, folder / file.path, file.blob)
        if fault:
            raise StoreFailed(f"{what}: {file.path}: {fault}", file=file.path)


def _fault(layout: Layout, path: Path, blob: Blob) -> str:
    """Return what is wrong with a file that should hold a blob; empty if nothing is."""
    try:
        with opened(layout.root, path) as fd:
            if sha256_of(fd, blob.size_bytes) != blob.sha256:
                return "its bytes are not those that were signed"
            return "it can be written to" if os.fstat(fd).st_mode & 0o222 else ""
    except StoreFailed as error:
        return error.message
    except OSError as error:
        return error.strerror or str(error)


def listed(folder: Path) -> list[str]:
    """Return the names of all that lies in a release's folder; of a folder itself only if it is empty.

    Raises:
        OSError: It cannot be read.
    """
    found: list[str] = []
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            found += [f"{entry.name}/{each.name}" for each in sorted(entry.iterdir())] or [entry.name]
        else:
            found.append(entry.name)
    return found


def _link_all(layout: Layout, release: Release, new: Path) -> None:
    for file in release.files:
        place = new / file.path
        if place.parent != new:
            make_folder(place.parent, 0o700)
        failpoint("release.link")
        source = layout.blob(file.blob.sha256)
        try:
            os.link(source, place, follow_symlinks=False)
        except FileNotFoundError as error:
            raise StoreFailed(f"{file.path}: its blob is not in the store", blob=file.blob.sha256) from error
        # Hashed through its new name: nothing can be slipped in between the check and the link.
        if fault := _fault(layout, place, file.blob):
            discard(source)
            raise StoreFailed(f"{file.path}: {fault}; it is fetched again", blob=file.blob.sha256)


def _seal(new: Path) -> None:
    """Take the write permission from a folder and the folders in it, and bring their names to the disk."""
    failpoint("release.seal")
    inner = [Path(entry.path) for entry in os.scandir(new) if entry.is_dir(follow_symlinks=False)]
    for folder in [*inner, new]:
        folder.chmod(0o555)
        sync_folder(folder, "release.folder_fsync")


def check_number(record: ModelRecord, release: Release, manifest: bytes) -> None:
    """Refuse another release under a number that the model's record names: a number is used once.

    Raises:
        StoreFailed: It is taken.
    """
    digest = manifest_digest(manifest)
    for ref in (record.active, record.previous):
        if ref is not None and ref.number == release.number and ref.digest != digest:
            raise StoreFailed(
                f"release {release.number} of {release.model}: another release has this number here; "
                "publish under a new one",
                release=release.number,
            )
