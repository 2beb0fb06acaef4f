"""An author's repository of releases in a folder: what `gateway repo` and `gateway push` do.

``metadata/``, ``targets/`` and ``blobs/`` are what boards see; ``repository.json``
says how it was set up; private keys lie elsewhere. ``add`` and ``assign`` prepare,
``publish`` signs the whole anew: before that no board sees a change.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from tuf.api.metadata import Snapshot, TargetFile, Targets

from gateway.errors import LostRace, PublishRefused, StoreFailed
from gateway.updates.assignment import Assignment
from gateway.updates.assignment_json import assignment_bytes, read_assignment
from gateway.updates.manifest import read_manifest
from gateway.updates.names import checked_word
from gateway.updates.publishing import disk
from gateway.updates.publishing.assigning import Change, changed
from gateway.updates.publishing.export import BLOBS, METADATA, TARGETS, Told, export, silent
from gateway.updates.publishing.founding import found
from gateway.updates.publishing.keys import KeyFolders
from gateway.updates.publishing.publication import renew, sign_state
from gateway.updates.publishing.roles import (
    ASSIGN,
    MODELS,
    ROLES,
    SNAPSHOT,
    TIMESTAMP,
    Profile,
    is_due,
    lifetime_s,
)
from gateway.updates.publishing.rotation import Rotation
from gateway.updates.publishing.signed import MetadataFolder, advance
from gateway.updates.publishing.status import KeyStatus, RepositoryStatus, RoleStatus
from gateway.updates.release import MOST_MANIFEST_BYTES, Blob, Release

MANIFEST: Final = "manifest.json"
DELTAS: Final = "deltas"
_SETUP: Final = "repository.json"
_SCHEMA: Final = 1


@dataclass(frozen=True, slots=True)
class Published:
    """What boards see since a publication.

    Attributes:
        timestamp: Version of the timestamp.
        expires_unix_s: When it expires: publish again before.
        warnings: What will go wrong before long, one sentence each.
    """

    timestamp: int
    expires_unix_s: int
    warnings: tuple[str, ...]


class Repository:
    """A repository that was opened. Its methods take the repository's lock; blocking."""

    def __init__(
        self, folder: Path, keys: KeyFolders, profile: Profile, clock: Callable[[], float] = time.time
    ) -> None:
        """Use ``create`` or ``open``."""
        self.folder = folder
        self.profile = profile
        self._keys = keys
        self._clock = clock
        self._metadata = MetadataFolder(folder / METADATA, keys)

    @classmethod
    def create(
        cls,
        folder: Path,
        keys: KeyFolders,
        profile: Profile = Profile.ONLINE,
        *,
        encrypted: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> Repository:
        """Begin a repository: make its keys, sign the first version of everything.

        Args:
            folder: Where; it may be there, but holds no repository.
            keys: The first of its folders takes the private keys.
            profile: How often somebody can sign.
            encrypted: Whether the private keys are written with a passphrase.
            clock: Unix seconds.

        Raises:
            PublishRefused: Something is in the way, the keys would be inside, or signing is not installed.
            StoreBusy: Somebody else is changing it.
            StoreFailed: The disk does not take it.
        """
        if folder.resolve() in (keys.folders[0].resolve(), *keys.folders[0].resolve().parents):
            raise PublishRefused(f"{keys.folders[0]}: private keys do not belong into what boards are served")
        made = cls(folder, keys, profile, clock)
        with _told(folder):
            disk.make_folders(folder)
            with disk.locked(folder):
                if (folder / METADATA).exists() or (folder / _SETUP).exists():
                    raise PublishRefused(f"{folder}: there is a repository, or the rest of one, already")
                for name in (METADATA, TARGETS, BLOBS):
                    disk.make_folders(folder / name)
                found(made._metadata, keys, profile, clock(), encrypted=encrypted)
                setup = json.dumps({"schema": _SCHEMA, "profile": profile.value}, indent=1)
                disk.write(folder / _SETUP, setup.encode() + b"\n")
        return made

    @classmethod
    def open(cls, folder: Path, keys: KeyFolders, *, clock: Callable[[], float] = time.time) -> Repository:
        """Open a repository.

        Raises:
            PublishRefused: There is none.
        """
        try:
            setup = json.loads((folder / _SETUP).read_bytes())
            profile = Profile(setup["profile"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PublishRefused(f"{folder}: no repository: begin one with `gateway repo init`") from error
        return cls(folder, keys, profile, clock)

    @property
    def root_file(self) -> Path:
        """The newest root, which boards get with their configuration."""
        return self.folder / METADATA / "root.json"

    def add(self, release_dir: Path, told: Told = silent) -> Release:
        """Add a packed release: copy its blobs, sign its manifest. Adding the same again changes nothing.

        Args:
            release_dir: Folder with ``manifest.json``, the files it names, and patches in ``deltas/``.
            told: Told of the bytes done and of all bytes.

        Raises:
            ManifestRefused: The manifest cannot be read.
            PublishRefused: A file is not what the manifest says, the number is used or too low, or the key of
                ``models`` is not at hand.
            StoreBusy: Somebody else is changing the repository.
            StoreFailed: The disk does not take it.
        """
        with self._changing():
            data = _small(release_dir / MANIFEST, MOST_MANIFEST_BYTES)
            release = read_manifest(data)
            models = cast(Targets, self._metadata.newest(MODELS).signed)
            name = f"{MODELS}/{release.model}/{release.number}.json"
            held = models.targets.get(name)
            digest = hashlib.sha256(data).hexdigest()
            if held is not None and held.hashes.get("sha256") != digest:
                raise PublishRefused(
                    f"{release.model}: number {release.number} is taken by other content; "
                    "pack it under a new one"
                )
            newest = max(_releases(models).get(release.model, (0,)))
            if held is None and release.number <= newest:
                raise PublishRefused(
                    f"{release.model}: number {release.number} is not above {newest}, the newest; "
                    "pack it under a new one"
                )
            self._take(release, release_dir, told)
            if held is None:
                self._put_target(MODELS, models, name, data)
        return release

    def assign(self, group: str, change: Change, expect_version: int | None = None) -> Assignment:
        """Change what a group of boards should run; nothing is written if nothing changes.

        Args:
            group: Name of the group; a new one begins.
            change: What shall be otherwise.
            expect_version: Version that the caller saw, 0 for none; None to change whatever is there.

        Raises:
            LostRace: Somebody else changed it since (``version``).
            ManifestRefused: No board would read it.
            PublishRefused: A release was not added, or the key of ``assign`` is not at hand.
            StoreBusy: Somebody else is changing the repository.
            StoreFailed: The disk does not take it.
        """
        checked_word(group, "group")
        with self._changing():
            assign = cast(Targets, self._metadata.newest(ASSIGN).signed)
            last = self._assignments(assign).get(group, Assignment(group, 0))
            if expect_version is not None and last.version != expect_version:
                raise LostRace(
                    f"{group}: the assignment has version {last.version}, not {expect_version}: "
                    "somebody else changed it; look again",
                    version=last.version,
                )
            models = cast(Targets, self._metadata.newest(MODELS).signed)
            new = changed(last, change, _releases(models))
            if (new.models, new.sets) == (last.models, last.sets) and last.version:
                return last
            self._put_target(ASSIGN, assign, f"{ASSIGN}/{group}.json", assignment_bytes(new))
        return new

    def publish(self, to: Path | None = None, told: Told = silent) -> Published:
        """Sign the whole anew, so that boards see it; with ``to``, copy it there as well.

        Raises:
            PublishRefused: The keys of snapshot and timestamp are not at hand, or ``to`` is in use.
            StoreBusy: Somebody else is changing the repository.
            StoreFailed: The disk does not take it.
        """
        with self._changing():
            now_unix_s = self._clock()
            warnings = tuple(renew(self._metadata, self.profile, now_unix_s))
            sign_state(self._metadata, self.profile, now_unix_s)
            self._metadata.forget_old()
            if to is not None:
                with _told(to):
                    export(self.folder, to, told)
            timestamp = self._metadata.newest(TIMESTAMP).signed
        return Published(timestamp.version, int(timestamp.expires.timestamp()), warnings)

    def rotate(self, role: str, keyid: str = "") -> tuple[str, str]:
        """Replace a key of a role and publish; return the ids of the old and of the new key.

        Args:
            role: Whose key.
            keyid: The beginning of the old key's id; empty for one that is not at hand, else the first.

        Raises:
            PublishRefused: There is no such key, or a key that must sign is not at hand.
            StoreBusy: Somebody else is changing the repository.
            StoreFailed: The disk does not take it.
        """
        if role not in ROLES:
            raise PublishRefused(f"{role}: no role; there are {', '.join(ROLES)}")
        with self._changing():
            rotation = Rotation(self._metadata, self._keys, self.profile, self._clock())
            return rotation.run(role, keyid, encrypted=self._keys.has_encrypted())

    def status(self) -> RepositoryStatus:
        """Return what there is; nothing is changed.

        Raises:
            PublishRefused: The repository cannot be read.
            StoreFailed: The disk cannot be read.
        """
        with _told(self.folder):
            models = cast(Targets, self._metadata.newest(MODELS).signed)
            assign = cast(Targets, self._metadata.newest(ASSIGN).signed)
            snapshot = cast(Snapshot, self._metadata.newest(SNAPSHOT).signed)
            roles = tuple(self._role_status(role) for role in ROLES)
            versions = {f"{role.name}.json": role.version for role in roles}
            return RepositoryStatus(
                str(self.folder),
                self.profile.value,
                roles,
                _releases(models),
                self._assignments(assign),
                any(versions[name] != held.version for name, held in snapshot.meta.items()),
            )

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with _told(self.folder), disk.locked(self.folder):
            yield

    def _take(self, release: Release, release_dir: Path, told: Told) -> None:
        """Copy the blobs of a release into the repository."""
        wanted: dict[str, tuple[Path, Blob]] = {}
        for file in release.files:
            wanted[file.blob.sha256] = (release_dir / file.path, file.blob)
        for delta in release.deltas:
            wanted[delta.blob.sha256] = (release_dir / DELTAS / delta.blob.sha256, delta.blob)
        total = sum(blob.size_bytes for _, blob in wanted.values())
        done = 0

        def progress(step: int) -> None:
            nonlocal done
            done += step
            told(done, total)

        for path, blob in wanted.values():
            disk.take(path, blob, self.folder / BLOBS, progress)

    def _put_target(self, role: str, signed: Targets, name: str, data: bytes) -> None:
        """Write a small target under the name that holds its digest, and sign it."""
        target = TargetFile.from_data(name, data, ["sha256"])
        disk.write(self.folder / TARGETS / target.get_prefixed_paths()[0], data)
        signed.targets[name] = target
        advance(signed, self._clock(), lifetime_s(role, self.profile))
        self._metadata.write(role, signed)

    def _assignments(self, assign: Targets) -> dict[str, Assignment]:
        result = {}
        for target in assign.targets.values():
            path = self.folder / TARGETS / target.get_prefixed_paths()[0]
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() != target.hashes["sha256"]:
                raise PublishRefused(
                    f"{path}: it is damaged: fetch it from where the repository was published"
                )
            held = read_assignment(data)
            result[held.group] = held
        return result

    def _role_status(self, name: str) -> RoleStatus:
        signed = self._metadata.newest(name).signed
        expires = int(signed.expires.timestamp())
        keyids = self._metadata.role(name).keyids
        places = [self._keys.place(name, keyid) for keyid in keyids]
        return RoleStatus(
            name,
            signed.version,
            expires,
            is_due(expires, self._clock(), lifetime_s(name, self.profile)),
            self._metadata.role(name).threshold,
            tuple(KeyStatus(k, str(place or "")) for k, place in zip(keyids, places, strict=True)),
        )


def _releases(models: Targets) -> dict[str, tuple[int, ...]]:
    result: dict[str, list[int]] = {}
    for name in models.targets:
        _, model, file = name.split("/")
        result.setdefault(model, []).append(int(file.removesuffix(".json")))
    return {model: tuple(sorted(numbers)) for model, numbers in sorted(result.items())}


def _small(path: Path, most_bytes: int) -> bytes:
    if path.is_file() and path.stat().st_size <= most_bytes:
        return path.read_bytes()
    raise PublishRefused(f"{path}: no manifest; pack the release first: gateway release pack DIR")


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreFailed(f"{error.filename or folder}: {error.strerror or error}") from error
