"""What a thief of some private keys can do: sign anything that those keys may sign, with the real tools."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.updates.publishing.keys import KeyFolders
from gateway.updates.publishing.publication import sign_state
from gateway.updates.publishing.repository import Repository
from gateway.updates.publishing.roles import Profile
from gateway.updates.publishing.signed import MetadataFolder
from tests.updates.publishing.releases import NOW_S, no_passphrase


class Thief:
    """Somebody with write access to the web server and with some of the keys."""

    def __init__(self, repository: Repository, *roles: str) -> None:
        """Steal the keys of these roles, and no others."""
        beside = repository.folder.with_suffix(".keys")
        stolen = repository.folder.with_suffix(".stolen-" + "-".join(roles or ("nothing",)))
        stolen.mkdir()
        for path in beside.iterdir():
            if path.name.partition("-")[0] in roles:
                (stolen / path.name).write_bytes(path.read_bytes())
        self.folder = repository.folder
        self.metadata = MetadataFolder(repository.folder / "metadata", KeyFolders([stolen], no_passphrase))

    def sign(self, role: str, change: Callable[[Any], None]) -> None:
        """Change the newest metadata of a role, raise its version, sign and write it."""
        signed = self.metadata.newest(role).signed
        signed.version += 1
        change(signed)
        self.metadata.write(role, signed)

    def sign_state(self) -> None:
        """Sign which versions belong together."""
        sign_state(self.metadata, Profile.ONLINE, NOW_S)

    def put_target(self, name: str, data: bytes) -> None:
        """Lay a file where boards would ask for a target of this name."""
        path: Path = self.folder / "targets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
