"""The signed metadata files of an author's repository: finds the newest, signs the next, writes it whole."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, cast

from tuf.api.metadata import Delegations, Key, Metadata, Role, Root, Signed, Targets
from tuf.api.serialization import DeserializationError

from gateway.errors import PublishRefused
from gateway.updates.publishing import disk
from gateway.updates.publishing.keys import KeyFolders
from gateway.updates.publishing.roles import ROOT, TARGETS, TIMESTAMP, TOP

_VERSIONED: Final = re.compile(r"([1-9][0-9]{0,9})\.([a-z]+)\.json")
# A board that began to look a while ago still finds what its timestamp names.
_KEPT_VERSIONS: Final = 16


class MetadataFolder:
    """The folder ``metadata`` of a repository. Whoever changes it holds the repository's lock."""

    def __init__(self, folder: Path, keys: KeyFolders) -> None:
        """Look at nothing yet."""
        self.folder = folder
        self._keys = keys

    def newest(self, role: str) -> Metadata[Any]:
        """Return the newest metadata of a role.

        Raises:
            PublishRefused: There is none, or it cannot be read.
        """
        path = self._newest_path(role)
        if path is None:
            raise PublishRefused(f"{self.folder}: no metadata of {role}; is this a repository?")
        return _read(path)

    def data(self, role: str) -> bytes:
        """Return the bytes of the newest metadata of a role.

        Raises:
            PublishRefused: There is none.
        """
        path = self._newest_path(role)
        if path is None:
            raise PublishRefused(f"{self.folder}: no metadata of {role}")
        return path.read_bytes()

    def root(self) -> Root:
        """Return the newest root.

        Raises:
            PublishRefused: There is none.
        """
        return cast(Root, self.newest(ROOT).signed)

    def delegations(self) -> Delegations:
        """Return what the newest targets delegate.

        Raises:
            PublishRefused: They delegate nothing.
        """
        found = cast(Targets, self.newest(TARGETS).signed).delegations
        if found is None or found.roles is None:
            raise PublishRefused(
                f"{self.folder}: its targets delegate nothing; this is no gateway's repository"
            )
        return found

    def role(self, name: str) -> Role:
        """Return who may sign a role."""
        if name in TOP:
            return self.root().roles[name]
        delegated = self.delegations().roles
        assert delegated is not None
        return delegated[name]

    def key(self, role: str, keyid: str) -> Key:
        """Return a public key of a role."""
        return self.root().keys[keyid] if role in TOP else self.delegations().keys[keyid]

    def keys_of(self, role: str) -> list[Key]:
        """Return the public keys of a role."""
        return [self.key(role, keyid) for keyid in self.role(role).keyids]

    def can_sign(self, role: str) -> bool:
        """Say whether enough private keys of a role are at hand."""
        found = self.role(role)
        return sum(self._keys.place(role, keyid) is not None for keyid in found.keyids) >= found.threshold

    def write(self, role: str, signed: Signed, more: Sequence[Key] = ()) -> None:
        """Sign a role's next metadata with every key at hand, and write it.

        Args:
            role: Which.
            signed: What to sign.
            more: Keys that sign as well, because they could before or will be able to.

        Raises:
            PublishRefused: Fewer keys are at hand than must sign; nothing is written.
            OSError: It cannot be written.
        """
        self.put(role, self.sign(role, signed, self.keys_of(role), self.role(role).threshold, more))

    def sign(
        self, role: str, signed: Signed, keys: Iterable[Key], threshold: int, more: Iterable[Key] = ()
    ) -> Metadata[Any]:
        """Return signed metadata.

        Raises:
            PublishRefused: Fewer of ``keys`` are at hand than ``threshold``.
        """
        metadata: Metadata[Any] = Metadata(signed)
        wanted = {key.keyid: key for key in keys}
        count = 0
        for key in {**{key.keyid: key for key in more}, **wanted}.values():
            signer = self._keys.signer(role, key)
            if signer is not None:
                metadata.sign(signer, append=True)
                count += key.keyid in wanted
        if count < threshold:
            names = ", ".join(f"{role}-{keyid[:16]}.pem" for keyid in wanted)
            places = ", ".join(map(str, self._keys.folders))
            raise PublishRefused(
                f"{role}: {threshold} of the keys {names} must sign, {count} lie in {places}; "
                "name the folder of the others with --keys",
                role=role,
            )
        return metadata

    def put(self, role: str, metadata: Metadata[Any]) -> None:
        """Write signed metadata under the name that boards ask for.

        Raises:
            OSError: It cannot be written.
        """
        version = metadata.signed.version
        name = f"{role}.json" if role == TIMESTAMP else f"{version}.{role}.json"
        disk.write(self.folder / name, metadata.to_bytes())
        if role == ROOT:
            disk.write(self.folder / f"{ROOT}.json", metadata.to_bytes())

    def forget_old(self) -> None:
        """Remove versions that no board asks for any more; roots are kept for ever.

        Raises:
            OSError: A file cannot be removed.
        """
        versions: dict[str, list[int]] = {}
        for path in self.folder.iterdir():
            if found := _VERSIONED.fullmatch(path.name):
                versions.setdefault(found[2], []).append(int(found[1]))
        for role, numbers in versions.items():
            for number in sorted(numbers)[:-_KEPT_VERSIONS] if role != ROOT else ():
                disk.remove(self.folder / f"{number}.{role}.json")

    def _newest_path(self, role: str) -> Path | None:
        if role == TIMESTAMP:
            path = self.folder / f"{TIMESTAMP}.json"
            return path if path.is_file() else None
        numbers = [
            int(found[1])
            for path in self.folder.glob(f"*.{role}.json")
            if (found := _VERSIONED.fullmatch(path.name)) and found[2] == role
        ]
        return self.folder / f"{max(numbers)}.{role}.json" if numbers else None


def advance(signed: Signed, now_unix_s: float, lifetime_s: int) -> None:
    """Make the next version of what is to be signed, with a new expiry."""
    signed.version += 1
    signed.expires = expiry(now_unix_s, lifetime_s)


def expiry(now_unix_s: float, lifetime_s: int) -> dt.datetime:
    """Return when something expires that is signed now."""
    return dt.datetime.fromtimestamp(now_unix_s + lifetime_s, dt.timezone.utc)


def _read(path: Path) -> Metadata[Any]:
    try:
        found: Metadata[Any] = Metadata.from_bytes(path.read_bytes())
    except (OSError, DeserializationError) as error:
        raise PublishRefused(f"{path}: it cannot be read: {error}") from error
    return found
