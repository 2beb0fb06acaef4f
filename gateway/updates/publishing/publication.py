"""Signs which versions of a repository belong together now, in an order that no board sees half."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, cast

from tuf.api.metadata import Key, MetaFile, Snapshot, Timestamp

from gateway.updates.publishing.roles import (
    ASSIGN,
    MODELS,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    Profile,
    is_due,
    lifetime_s,
)
from gateway.updates.publishing.signed import MetadataFolder, advance

ISSUED: Final = "issued"
_IN_SNAPSHOT: Final = (TARGETS, MODELS, ASSIGN)


@dataclass(frozen=True, slots=True)
class Handover:
    """Keys of a role that is being rotated; both the old and the new root shall accept what they sign.

    Attributes:
        role: Which.
        keys: Keys that the next root names.
        threshold: How many of them must sign.
        old: Keys that sign as well, as far as they are at hand.
    """

    role: str
    keys: Sequence[Key]
    threshold: int
    old: Sequence[Key]


def renew(metadata: MetadataFolder, profile: Profile, now_unix_s: float) -> Iterator[str]:
    """Sign anew what expires before long, and yield a warning for each role whose keys are elsewhere.

    Raises:
        PublishRefused: A key cannot be read.
        OSError: A file cannot be written.
    """
    for role in (ROOT, *_IN_SNAPSHOT):
        signed = metadata.newest(role).signed
        left_s = signed.expires.timestamp() - now_unix_s
        life_s = lifetime_s(role, profile)
        if not is_due(signed.expires.timestamp(), now_unix_s, life_s):
            continue
        if metadata.can_sign(role):
            advance(signed, now_unix_s, life_s)
            metadata.write(role, signed)
        else:
            when = f"expires in {left_s / 86_400:.0f} days" if left_s > 0 else "has EXPIRED"
            yield f"{role}: the signature {when}; run `gateway repo publish` with its keys (--keys FOLDER)"


def sign_state(
    metadata: MetadataFolder, profile: Profile, now_unix_s: float, handover: Handover | None = None
) -> None:
    """Sign which versions belong together, the timestamp last.

    Raises:
        PublishRefused: A key is not at hand; boards see the state before.
        OSError: A file cannot be written; boards see the state before, or the new one.
    """
    snapshot = cast(Snapshot, metadata.newest(SNAPSHOT).signed)
    held = {f"{role}.json": _meta_file(metadata, role) for role in _IN_SNAPSHOT}
    rotates = handover is not None and handover.role == SNAPSHOT
    due = is_due(snapshot.expires.timestamp(), now_unix_s, lifetime_s(SNAPSHOT, profile))
    if snapshot.meta != held or due or rotates:
        snapshot.meta = held
        advance(snapshot, now_unix_s, lifetime_s(SNAPSHOT, profile))
        _write(metadata, SNAPSHOT, snapshot, handover)
    timestamp = cast(Timestamp, metadata.newest(TIMESTAMP).signed)
    timestamp.snapshot_meta = _meta_file(metadata, SNAPSHOT)
    # What boards without a clock go by: it is later than this.
    timestamp.unrecognized_fields[ISSUED] = int(now_unix_s)
    advance(timestamp, now_unix_s, lifetime_s(TIMESTAMP, profile))
    _write(metadata, TIMESTAMP, timestamp, handover)


def _write(
    metadata: MetadataFolder, role: str, signed: Snapshot | Timestamp, handover: Handover | None
) -> None:
    if handover is None or handover.role != role:
        metadata.write(role, signed)
        return
    metadata.put(role, metadata.sign(role, signed, handover.keys, handover.threshold, handover.old))


def _meta_file(metadata: MetadataFolder, role: str) -> MetaFile:
    version = metadata.newest(role).signed.version
    return MetaFile.from_data(version, metadata.data(role), ["sha256"])
