"""What the crash tests do to a store and to its trust, as a script: what must be there is known beforehand.

Every round refreshes the trust, brings a good release from its first chunk to
its floor, tries a bad one, goes back from it, and collects. Whoever is
interrupted anywhere plays the same script again and goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final

from gateway.errors import StoreFailed
from gateway.updates.manifest import manifest_bytes
from gateway.updates.release import CHUNK_BYTES, ReleaseRef
from gateway.updates.state import ModelRecord, Phase
from gateway.updates.store.reading import read_small
from gateway.updates.store.store import Store
from gateway.updates.store.trouble import told
from gateway.updates.trust.clock import ClockFloor
from gateway.updates.trust.floor import Floor, Mark
from gateway.updates.trust.generations import ROOTS, Generations
from tests.updates.store import transaction
from tests.updates.store.transaction import MODEL, contents, noise, open_store, release_of

CODE: Final = "update.bake"
NOW_UNIX_S: Final = 1_700_000_000
# Commits of one round.
COMMITS: Final = 9
_METADATA: Final = ("timestamp.json", "snapshot.json", "targets.json")
_KEY: Final = "ab" * 32

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Site:
    """A board's disk, opened.

    Attributes:
        store: The model store.
        trust: What lies in its trust folder.
    """

    store: Store
    trust: Generations

    def close(self) -> None:
        """Let the store's lock go."""
        self.store.close()


def open_site(root: Path) -> Site:
    """Open the store as the daemon does at its start; even these small blobs are synced while they come."""
    store = open_store(root)
    return Site(store, Generations(store.trust_folder))


def good(number: int) -> int:
    """Return the release that round ``number`` brings into service."""
    return 2 * number - 1


def bad(number: int) -> int:
    """Return the release from which round ``number`` goes back."""
    return 2 * number


@cache
def ref_of(number: int) -> ReleaseRef:
    """Return how a record names a release."""
    return transaction.ref_of(release_of(number))


@cache
def history(rounds: int) -> tuple[ModelRecord, ...]:
    """Return every record that is ever committed; the place of each is its ``seq``."""
    found = [ModelRecord(MODEL)]

    def then(**changes: object) -> None:
        held = found[-1]
        found.append(replace(held, seq=held.seq + 1, **changes))  # type: ignore[arg-type]

    for number in range(1, rounds + 1):
        serves, before = ref_of(good(number)), found[-1].active
        then(phase=Phase.VALIDATING, candidate=serves)
        then(phase=Phase.READY)
        then(phase=Phase.BAKING, active=serves, previous=before)
        then(phase=Phase.IDLE, candidate=None, floor=serves.number)
        fails = ref_of(bad(number))
        then(phase=Phase.VALIDATING, candidate=fails)
        then(phase=Phase.READY)
        then(phase=Phase.BAKING, active=fails, previous=serves)
        then(phase=Phase.IDLE, active=serves, previous=None, code=CODE, reason="it was slow")
        then(candidate=None, code="", reason="")
    return tuple(found)


def play(site: Site, rounds: int, ack: Say, pace: Say) -> None:
    """Bring a site from wherever it is to the end of the last round.

    Args:
        site: Whose.
        rounds: How many there are.
        ack: Told each fact when the code under test says that it is durable.
        pace: Told what comes next, before each step; it may let time pass, or the power fail.

    Raises:
        DiskFull: There is no room.
        StoreFailed: The disk does not do it.
    """
    records = history(rounds)
    for number in range(1, rounds + 1):
        first = COMMITS * (number - 1)
        if site.store.record(MODEL).seq > first + COMMITS:
            continue
        _refresh(site, number, ack, pace)
        steps = records[first + 1 : first + COMMITS + 1]
        for record in steps:
            if record.seq <= site.store.record(MODEL).seq:
                continue
            if record.phase is Phase.VALIDATING and record.candidate is not None:
                _bring(site.store, record.candidate.number, ack, pace)
            if record is steps[-1]:
                _put_away(site.store, bad(number), ack, pace)
            pace(f"record {record.seq}")
            site.store.commit(record)
            ack(f"record {record.seq}")
        pace("audit")
        site.store.audit("round", number=number)
        ack(f"audited {number}")
        pace("collect")
        site.store.collect(0)
        ack(f"collected {number}")


def _bring(store: Store, number: int, ack: Say, pace: Say) -> None:
    release = release_of(number)
    for file, data in zip(release.files, contents(number).values(), strict=True):
        if store.has(file.blob):
            continue
        partial = store.partial(file.blob)
        try:
            for index in partial.missing():
                pace(f"chunk {file.blob.sha256} {index}")
                partial.write(index, data[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES])
            pace(f"finish {file.blob.sha256}")
            partial.finish()
        finally:
            partial.close()
        ack(f"blob {file.blob.sha256} {number}")
    pace(f"stage {number}")
    store.stage(release, manifest_bytes(release))
    ack(f"staged {number}")


def _put_away(store: Store, number: int, ack: Say, pace: Say) -> None:
    # Written again even if it can be read: after a failed sync it may be in the page cache alone.
    pace(f"quarantine {number}")
    store.quarantine(MODEL, ref_of(number), CODE, "it was slow", NOW_UNIX_S)
    ack(f"quarantined {number}")


def metadata(version: int) -> dict[str, bytes]:
    """Return the files that a repository has at a version, by their place in a generation."""
    held = {
        name: json.dumps({"version": version, "keys": noise(name + str(version), 1500).hex()}).encode()
        for name in _METADATA
    }
    roots = {f"{ROOTS}/{each}.root.json": b'{"root":%d}' % each for each in range(1, version + 1)}
    return {**held, **roots}


def floor_of(version: int) -> Floor:
    """Return the floor after a version of the repository was accepted."""
    roles = {name.partition(".")[0]: Mark(version, (_KEY,)) for name in _METADATA}
    return Floor(version, roles, {"all": version})


def _refresh(site: Site, version: int, ack: Say, pace: Say) -> None:
    if trusted(site) >= version:
        return
    with told("trust"):
        pace(f"generation {version}")
        staged = site.trust.stage()
        for name, data in metadata(version).items():
            # As python-tuf writes what it verified: into the place itself, and unsynced.
            (staged / name).write_bytes(data)
            pace(f"metadata {name}")
        site.trust.accept(staged, floor_of(version), ClockFloor(NOW_UNIX_S + version, version, (_KEY,)))
    ack(f"trust {version}")


def trusted(site: Site) -> int:
    """Return the version of the generation that counts; 0 on a board that has none.

    Raises:
        StoreFailed: It is half of one and half of another, or damaged.
    """
    root = site.store.root
    with told("trust"):
        current = site.trust.current()
        if current is None:
            return 0
        try:
            version = int(json.loads(read_small(root, current / _METADATA[0], 1 << 20))["version"])
        except (ValueError, KeyError, TypeError) as error:
            raise StoreFailed(f"trust: {current.name} is damaged: {error}") from error
        for name, data in metadata(version).items():
            if read_small(root, current / name, 1 << 20) != data:
                raise StoreFailed(f"trust: {name} of {current.name} is not that of version {version}")
    return version


def leftovers(root: Path) -> Iterator[Path]:
    """Yield what lies in a store that was brought to an end and has no business there."""
    yield from (path for path in root.rglob("*") if path.name.startswith(".tmp-"))
    yield from (root / "partial").iterdir()
    yield from (path for path in root.rglob("*.bad-*"))
    current = Generations(root / "trust").current()
    yield from (path for path in (root / "trust").glob("gen-*") if path != current)
