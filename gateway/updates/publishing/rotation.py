"""Gives a role a new key in place of an old one, so that boards follow, also those that were off for long."""

from __future__ import annotations

from typing import cast

from tuf.api.metadata import Key, Root, Targets

from gateway.errors import PublishRefused
from gateway.updates.publishing.keys import KeyFolders
from gateway.updates.publishing.publication import Handover, sign_state
from gateway.updates.publishing.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, TOP, Profile, lifetime_s
from gateway.updates.publishing.signed import MetadataFolder, advance


class Rotation:
    """One rotation. Whoever runs it holds the repository's lock.

    Every step leaves a repository that boards can follow: what the old key signed is
    signed by both before a root or targets file says that only the new one counts.
    """

    def __init__(
        self, metadata: MetadataFolder, keys: KeyFolders, profile: Profile, now_unix_s: float
    ) -> None:
        """Look at nothing yet."""
        self._metadata = metadata
        self._keys = keys
        self._profile = profile
        self._now_unix_s = now_unix_s

    def run(self, role: str, keyid: str, *, encrypted: bool) -> tuple[str, str]:
        """Replace a key; return the ids of the old one and of the new one.

        Args:
            role: Whose key.
            keyid: The beginning of the old key's id; empty for one that is not at hand, else the first.
            encrypted: Whether the new key is written with a passphrase.

        Raises:
            PublishRefused: There is no such key, or a key that must sign is not at hand.
            OSError: A file cannot be written.
        """
        before = self._metadata.keys_of(role)
        old = self._chosen(role, before, keyid)
        # Whether enough keys are here shows before anything is written but a key that nobody uses.
        self._check(ROOT if role in TOP else TARGETS)
        new = self._keys.make(role, encrypted=encrypted)
        after = [key for key in before if key.keyid != old.keyid] + [new]
        if role == ROOT:
            self._put_root(role, old, new)
        elif role in TOP:
            self._rotate_top(
                role, Handover(role, after, self._metadata.role(role).threshold, before), (old, new)
            )
        else:
            self._rotate_delegated(
                role, Handover(role, after, self._metadata.role(role).threshold, before), (old, new)
            )
        return old.keyid, new.keyid

    def _rotate_top(self, role: str, handover: Handover, swap: tuple[Key, Key]) -> None:
        if role == TARGETS:
            self._sign_both(role, handover)
        online = handover if role in (SNAPSHOT, TIMESTAMP) else None
        sign_state(self._metadata, self._profile, self._now_unix_s, online)
        self._put_root(role, *swap)

    def _rotate_delegated(self, role: str, handover: Handover, swap: tuple[Key, Key]) -> None:
        self._sign_both(role, handover)
        targets = cast(Targets, self._metadata.newest(TARGETS).signed)
        targets.revoke_key(swap[0].keyid, role)
        targets.add_key(swap[1], role)
        advance(targets, self._now_unix_s, lifetime_s(TARGETS, self._profile))
        self._metadata.write(TARGETS, targets)
        sign_state(self._metadata, self._profile, self._now_unix_s)

    def _sign_both(self, role: str, handover: Handover) -> None:
        signed = self._metadata.newest(role).signed
        advance(signed, self._now_unix_s, lifetime_s(role, self._profile))
        self._metadata.put(
            role, self._metadata.sign(role, signed, handover.keys, handover.threshold, handover.old)
        )

    def _put_root(self, role: str, old: Key, new: Key) -> None:
        before = self._metadata.root()
        root = cast(Root, self._metadata.newest(ROOT).signed)
        root.revoke_key(old.keyid, role)
        root.add_key(new, role)
        advance(root, self._now_unix_s, lifetime_s(ROOT, self._profile))
        keys = [root.keys[keyid] for keyid in root.roles[ROOT].keyids]
        more = [before.keys[keyid] for keyid in before.roles[ROOT].keyids]
        metadata = self._metadata.sign(ROOT, root, keys, root.roles[ROOT].threshold, more)
        result = before.get_verification_result(ROOT, metadata.signed_bytes, metadata.signatures)
        if not result:
            raise PublishRefused(
                f"root: {result.threshold} keys of the last root must sign, {len(result.signed)} are at hand",
                role=ROOT,
            )
        self._metadata.put(ROOT, metadata)

    def _chosen(self, role: str, keys: list[Key], keyid: str) -> Key:
        found = [key for key in keys if key.keyid.startswith(keyid)]
        if not found:
            raise PublishRefused(f"{role}: no key of it begins with {keyid!a}", role=role)
        lost = [key for key in found if self._keys.place(role, key.keyid) is None]
        return (lost or found)[0]

    def _check(self, role: str) -> None:
        if not self._metadata.can_sign(role):
            raise PublishRefused(
                f"{role}: too few of its keys are at hand for this; name their folder with --keys", role=role
            )
