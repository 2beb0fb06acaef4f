"""Asks a TUF repository what is signed, and believes it only within what this board has seen before.

python-tuf verifies; around it stand what it leaves out: generations on disk, a
floor of versions of our own, a floor for the clock, one deadline, sizes before
anything is fetched, and names that are built here. Blocking: it runs in the
updater child, which holds the store's lock.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tuf.api.metadata import Metadata, Root, Signed, TargetFile
from tuf.ngclient import Updater, UpdaterConfig

from gateway.errors import GatewayBug, ManifestRefused, TrustFailed, TrustStale
from gateway.updates.assignment import MOST_ASSIGNMENT_BYTES
from gateway.updates.assignment_json import read_assignment
from gateway.updates.manifest import read_manifest
from gateway.updates.names import checked_digest, checked_word
from gateway.updates.release import MOST_MANIFEST_BYTES
from gateway.updates.store.trouble import told
from gateway.updates.transport.source import Source
from gateway.updates.trust.clock import Clock, ClockFloor, read_clock
from gateway.updates.trust.explained import explained
from gateway.updates.trust.fetcher import METADATA, BoundedFetcher
from gateway.updates.trust.floor import Floor, Mark, check_roles, check_root, raised, with_assignment
from gateway.updates.trust.generations import Generations

MODELS: Final = "models"
ASSIGN: Final = "assign"
ISSUED: Final = "issued"
SOON_S: Final = 30 * 86_400
_CLOCK_EVERY_S: Final = 3600
MOST_TRUST_BYTES: Final = 16 << 20
_DELEGATED: Final = {MODELS: "models/-/0.json", ASSIGN: "assign/-.json"}
_TOP: Final = ("timestamp", "snapshot", "targets")
_WHAT: Final = "trust of the model store"


@dataclass(frozen=True, slots=True)
class TrustReport:
    """What is believed since a refresh.

    Attributes:
        versions: Version in force, by role: ``root``, ``timestamp``, ``snapshot``, ``targets``, ``models``,
            ``assign``.
        clock: ``ok``, or ``untrusted`` if the system's clock cannot be right.
        expires_unix_s: When each of them expires.
        root_expires_soon: True if the root expires in less than 30 days: time to ask its author.
    """

    versions: Mapping[str, int]
    clock: str
    expires_unix_s: Mapping[str, int]
    root_expires_soon: bool


class TrustClient:
    """One look at one repository. Blocking, not for several threads, used once."""

    def __init__(  # noqa: PLR0913 - each is one fact about this board or this moment
        self,
        folder: Path,
        root: bytes,
        source: Source,
        *,
        now_unix_s: float,
        build_unix_s: int,
        deadline_s: float,
        most_bytes: int = MOST_TRUST_BYTES,
    ) -> None:
        """Prepare; nothing is read or fetched.

        Args:
            folder: ``trust/`` of the model store.
            root: The root of trust as it was delivered with the configuration.
            source: Where to ask; the caller closes it.
            now_unix_s: What the system's clock says.
            build_unix_s: When this software was built.
            deadline_s: Monotonic time by which everything must be done.
            most_bytes: Most bytes of everything that is fetched here.
        """
        self._generations = Generations(folder)
        self._root = root
        self._source = source
        self._now_unix_s = now_unix_s
        self._build_unix_s = build_unix_s
        self._fetcher = BoundedFetcher(source, deadline_s, most_bytes)
        self._clock = Clock.OK
        self._updater: Updater | None = None

    def refresh(self) -> TrustReport:
        """Fetch what is signed now, verify it, and accept it durably.

        Raises:
            TrustFailed: Signatures, versions or hashes do not hold; nothing of it is believed.
            TrustStale: It has expired.
            FetchRefused: The source has not got it, or gives what cannot be used.
            FetchFailed: The source is not there, or too slow.
            DiskFull: There is no room for the trust.
            StoreFailed: The trust cannot be read or written.
        """
        with told(_WHAT):
            floor, clock = self._generations.floor(), self._generations.clock()
            staged = self._generations.stage()
            try:
                updater = self._verified(staged, floor, clock)
                report, accepted, past = self._judged(updater, floor)
                if accepted != floor or not self._generations.is_held(accepted):
                    self._generations.accept(staged, accepted, past)
                elif past.used_unix_s - clock.used_unix_s > _CLOCK_EVERY_S:
                    # Nothing new is signed. The copy is still read; the next refresh removes it.
                    self._generations.write_clock(past)
            except BaseException:
                if self._generations.current() != staged:
                    self._generations.drop(staged)
                raise
        self._updater = updater
        return report

    def assignment(self, group: str) -> bytes | None:
        """Return the signed assignment of a group; None if there is none.

        Raises:
            ManifestRefused: It is too large, cannot be read, or is for another group.
            TrustFailed: It is not what was signed, or older than one that was accepted before.
            FetchRefused: The source has not got it.
            FetchFailed: The source is not there, or too slow.
            DiskFull: There is no room for the floor.
            StoreFailed: The floor cannot be written.
        """
        word = checked_word(group, "group")
        data = self._target(f"{ASSIGN}/{word}.json", MOST_ASSIGNMENT_BYTES)
        if data is None:
            return None
        found = read_assignment(data)
        if found.group != word:
            raise ManifestRefused(f"group: the assignment of {word} says that it is for {found.group}")
        with told(_WHAT):
            floor = self._generations.floor()
            after = with_assignment(floor, word, found.version)
            if after != floor:
                self._generations.write_floor(after)
        return data

    def manifest(self, model: str, number: int) -> bytes | None:
        """Return the signed manifest of a release; None if nobody signed such a release.

        Raises:
            ManifestRefused: It is too large, cannot be read, or is of another release.
            TrustFailed: It is not what was signed.
            FetchRefused: The source has not got it.
            FetchFailed: The source is not there, or too slow.
        """
        word = checked_word(model, "model")
        data = self._target(f"{MODELS}/{word}/{int(number)}.json", MOST_MANIFEST_BYTES)
        if data is None:
            return None
        found = read_manifest(data)
        if (found.model, found.number) != (word, number):
            what = f"the manifest of {word} {number} says that it is {found.model} {found.number}"
            raise ManifestRefused(f"release: {what}")
        return data

    def _verified(self, staged: Path, floor: Floor, clock: ClockFloor) -> Updater:
        """Return python-tuf's client after its refresh; what it knows is signed, and has not expired."""
        try:
            return self._attempt(staged, floor, clock)
        except TrustStale:
            # Perhaps whoever could sign timestamps made up a time far ahead, and lost the key since.
            if not (clock.past_unix_s() and self._is_revoked(staged, clock)):
                raise
            self._generations.write_clock(ClockFloor())
            return self._attempt(staged, floor, ClockFloor())

    def _attempt(self, staged: Path, floor: Floor, clock: ClockFloor) -> Updater:
        reading = read_clock(self._now_unix_s, clock, self._build_unix_s)
        self._clock = reading.clock
        with self._explained():
            updater = Updater(
                metadata_dir=str(staged),
                metadata_base_url=METADATA,
                fetcher=self._fetcher,
                config=_config(),
                bootstrap=self._root,
            )
        trusted = updater._trusted_set  # noqa: SLF001 - the only way to give it a time; pinned by a test
        trusted.reference_time = dt.datetime.fromtimestamp(reading.now_unix_s, dt.timezone.utc)
        try:
            with self._explained():
                updater.refresh()
                check_root(floor, trusted.root.version)
                for name in _DELEGATED.values():
                    updater.get_targetinfo(name)
        finally:
            # A newer root was verified: no older one is believed again, whatever became of the rest.
            if trusted.root.version > floor.root:
                self._generations.write_floor(Floor(trusted.root.version, floor.roles, floor.assignments))
        return updater

    def _is_revoked(self, staged: Path, clock: ClockFloor) -> bool:
        root: Metadata[Root] = Metadata.from_file(str(staged / "root.json"))
        return not set(clock.keys) <= set(root.signed.roles["timestamp"].keyids)

    def _judged(self, updater: Updater, floor: Floor) -> tuple[TrustReport, Floor, ClockFloor]:
        """Hold what is signed against what was seen before; return what to report and to remember."""
        trusted = updater._trusted_set  # noqa: SLF001 - pinned by a test
        root, delegations = trusted.root, trusted.targets.delegations
        if not root.consistent_snapshot:
            raise TrustFailed(
                f"{self._source.name}: root: no consistent snapshots: a change could be seen half"
            )
        missing = [role for role in _DELEGATED if role not in trusted]
        if delegations is None or delegations.roles is None or missing:
            raise TrustFailed(
                f"{self._source.name}: targets: nothing is delegated to {' and '.join(missing)}"
            )
        seen = {role: Mark(trusted[role].version, tuple(sorted(root.roles[role].keyids))) for role in _TOP}
        for role in _DELEGATED:
            keys = tuple(sorted(delegations.roles[role].keyids))
            seen[role] = Mark(trusted[role].version, keys)
        check_roles(floor, seen)
        signed = {role: trusted[role] for role in ("root", *_TOP, *_DELEGATED)}
        expires = {role: int(each.expires.timestamp()) for role, each in signed.items()}
        now_unix_s = int(trusted.reference_time.timestamp())
        report = TrustReport(
            {role: each.version for role, each in signed.items()},
            self._clock.value,
            expires,
            root_expires_soon=expires["root"] - now_unix_s < SOON_S,
        )
        issued = _issued(trusted.timestamp, min(expires.values()))
        past = ClockFloor(now_unix_s, issued, seen["timestamp"].keys)
        return report, raised(floor, root.version, seen), past

    def _target(self, name: str, most_bytes: int) -> bytes | None:
        """Return a small signed file of the repository; its size is looked at before it is fetched."""
        updater = self._refreshed()
        with self._explained():
            found: TargetFile | None = updater.get_targetinfo(name)
            if found is None:
                return None
            if found.length > most_bytes:
                raise ManifestRefused(f"{name}: {found.length} bytes, at most {most_bytes} are read")
            digest = checked_digest(found.hashes.get("sha256"), name)
            folder, _, file = name.rpartition("/")
            data = self._fetcher.read(f"targets/{folder}/{digest}.{file}", found.length)
            found.verify_length_and_hashes(data)
        return data

    def _refreshed(self) -> Updater:
        if self._updater is None:
            raise GatewayBug("trust: asked before the refresh")
        return self._updater

    def _explained(self) -> contextlib.AbstractContextManager[None]:
        return explained(self._source.name, lambda: self._fetcher.last, lambda: self._clock.value)


def _config() -> UpdaterConfig:
    return UpdaterConfig(
        max_root_rotations=64,
        max_delegations=8,
        root_max_length=256 << 10,
        timestamp_max_length=16 << 10,
        snapshot_max_length=256 << 10,
        targets_max_length=2 << 20,
        prefix_targets_with_hash=True,
    )


def _issued(timestamp: Signed, expires_unix_s: int) -> int:
    """Return when a timestamp was made, as it says; 0 if it says nothing that can be."""
    found = timestamp.unrecognized_fields.get(ISSUED)
    usable = isinstance(found, int) and not isinstance(found, bool) and 0 < found < expires_unix_s
    return int(found) if usable and found else 0
