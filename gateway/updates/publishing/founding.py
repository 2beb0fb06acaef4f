"""Begins an author's repository: makes every key, and signs the first version of every role."""

from __future__ import annotations

from typing import Final

from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Key,
    MetaFile,
    Role,
    Root,
    Signed,
    Snapshot,
    Targets,
    Timestamp,
)

from gateway.updates.publishing.keys import KeyFolders
from gateway.updates.publishing.publication import ISSUED
from gateway.updates.publishing.roles import (
    ASSIGN,
    MODELS,
    PATHS,
    ROLES,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    TOP,
    Profile,
    keys_of,
    lifetime_s,
)
from gateway.updates.publishing.signed import MetadataFolder, expiry

_FIRST: Final = 1


def found(
    metadata: MetadataFolder, keys: KeyFolders, profile: Profile, now_unix_s: float, *, encrypted: bool
) -> None:
    """Make the keys and sign the first version of everything, the timestamp last.

    Raises:
        PublishRefused: The extra ``publish`` is not installed, or there is no passphrase.
        OSError: A file cannot be written.
    """
    made = {
        role: [keys.make(role, encrypted=encrypted) for _ in range(keys_of(role).count)] for role in ROLES
    }

    def put(role: str, signed: Signed) -> None:
        signed.expires = expiry(now_unix_s, lifetime_s(role, profile))
        metadata.put(role, metadata.sign(role, signed, made[role], keys_of(role).threshold))

    put(ROOT, _root(made))
    put(MODELS, Targets(_FIRST))
    put(ASSIGN, Targets(_FIRST))
    put(TARGETS, Targets(_FIRST, delegations=_delegations(made)))
    held = (TARGETS, MODELS, ASSIGN)
    meta = {f"{role}.json": MetaFile.from_data(_FIRST, metadata.data(role), ["sha256"]) for role in held}
    put(SNAPSHOT, Snapshot(_FIRST, meta=meta))
    issued = {ISSUED: int(now_unix_s)}
    snapshot = MetaFile.from_data(_FIRST, metadata.data(SNAPSHOT), ["sha256"])
    put(TIMESTAMP, Timestamp(_FIRST, snapshot_meta=snapshot, unrecognized_fields=issued))


def _root(made: dict[str, list[Key]]) -> Root:
    roles = {role: Role([key.keyid for key in made[role]], keys_of(role).threshold) for role in TOP}
    return Root(
        _FIRST,
        keys={key.keyid: key for role in TOP for key in made[role]},
        roles=roles,
        consistent_snapshot=True,
    )


def _delegations(made: dict[str, list[Key]]) -> Delegations:
    roles = {
        role: DelegatedRole(
            role, [key.keyid for key in made[role]], keys_of(role).threshold, terminating=True, paths=[path]
        )
        for role, path in PATHS.items()
    }
    return Delegations({key.keyid: key for role in PATHS for key in made[role]}, roles)
