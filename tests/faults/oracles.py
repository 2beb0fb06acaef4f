"""Says what is wrong with a store after a fault: nothing acknowledged is lost, and life goes on."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from gateway.errors import GatewayError
from gateway.updates.release import Blob
from gateway.updates.state import ModelRecord
from gateway.updates.store.ballast import BALLAST_BYTES
from gateway.updates.store.finding import Severity
from gateway.updates.store.reading import opened, sha256_of
from gateway.updates.store.releases import is_whole
from tests.faults.transaction import (
    NOW_UNIX_S,
    Site,
    bad,
    floor_of,
    history,
    leftovers,
    open_site,
    play,
    ref_of,
    trusted,
)
from tests.updates.store.transaction import MODEL, release_of

# After the last collecting one release is left; trust, books and folders are small.
_MOST_BYTES: Final = release_of(1).size_bytes + BALLAST_BYTES + (1 << 19)


def judge(root: Path, facts: Collection[str], rounds: int) -> list[str]:
    """Open a store as after a power cut, check it, bring it to its end, check again.

    A store that is at its end already plays one round more: life goes on.

    Args:
        root: The store's folder.
        facts: What was acknowledged.
        rounds: How many rounds the interrupted workload had.

    Returns:
        What is wrong, in words; empty if nothing is.
    """
    try:
        with contextlib.closing(open_site(root)) as site:
            faults = list(recovered(site, facts, rounds))
            end = rounds + (site.store.record(MODEL).seq >= len(history(rounds)) - 1)
            play(site, end, _ignore, _ignore)
            site.trust.drop(site.trust.stage())  # as a look that finds nothing new: it tidies up
            return faults + list(settled(site, end))
    except GatewayError as error:
        return [f"recovery failed: {type(error).__name__}: {error.message}"]
    except Exception as error:  # noqa: BLE001 - whatever it is, the store must not raise it
        place = traceback.extract_tb(error.__traceback__)[-1]
        return [
            f"recovery broke: {type(error).__name__}: {error} at {Path(place.filename).name}:{place.lineno}"
        ]


def recovered(site: Site, facts: Collection[str], rounds: int) -> Iterator[str]:
    """Yield what is wrong right after a start.

    Args:
        site: What was opened.
        facts: What was acknowledged.
        rounds: How many rounds there may be traces of.
    """
    held = site.store.record(MODEL)
    yield from _record(held, facts, rounds)
    for ref in {held.active, held.previous, held.candidate} - {None}:
        assert ref is not None
        try:
            site.store.verify(MODEL, ref)
        except GatewayError as error:
            yield f"what record {held.seq} names is damaged: {error.message}"
    yield from _acknowledged(site, held, facts, rounds)
    yield from _trust(site, facts)
    for finding in site.store.check():
        torn = finding.path == "audit.jsonl" and "power cut" in finding.remedy
        if finding.severity is Severity.DAMAGE and not torn:
            yield f"{finding.path}: {finding.problem}"


def _record(held: ModelRecord, facts: Collection[str], rounds: int) -> Iterator[str]:
    records = history(rounds)
    acked = max(_numbers(facts, "record"), default=0)
    if held.seq < acked:
        yield f"record {acked} was acknowledged and {held.seq} is there"
    if held.seq >= len(records) or held != records[held.seq]:
        yield f"record {held.seq} is none that was ever committed"
    if held.floor < records[min(acked, len(records) - 1)].floor:
        yield f"the floor fell to {held.floor}"


def _acknowledged(site: Site, held: ModelRecord, facts: Collection[str], rounds: int) -> Iterator[str]:
    store = site.store
    named = {ref.number for ref in (held.active, held.previous, held.candidate) if ref is not None}
    # Who gets no further than to say so is not yet named by a record, and still must be there.
    after = _number_after(held, rounds)
    for number in _numbers(facts, "staged"):
        due = number in named or number == after
        if due and not is_whole(store.layout, release_of(number), ref_of(number).digest):
            yield f"release {number} was acknowledged and is not whole"
    for fact in facts:
        if fact.startswith("blob ") and int(fact.split()[2]) == after:
            digest = fact.split()[1]
            blob = next(each for each in release_of(after).blobs() if each.sha256 == digest)
            if not _is_whole_blob(site, blob):
                yield f"blob {digest[:12]} was acknowledged and is not whole"
    for number in range(1, rounds + 1):
        fails = bad(number)
        due = f"quarantined {fails}" in facts or held.seq >= number * (len(history(1)) - 1)
        if due and store.quarantined(MODEL, ref_of(fails), NOW_UNIX_S, 0) is None:
            yield f"release {fails} was put in quarantine and is not there"
    log = b"".join(path.read_bytes() for path in sorted(store.root.glob("audit.jsonl*")))
    for number in _numbers(facts, "audited"):
        if b'"number":%d,' % number not in log:
            yield f"the audit log lost round {number}"


def _number_after(held: ModelRecord, rounds: int) -> int:
    """Return the release that the record after this one begins with; 0 if it begins with none."""
    records = history(rounds)
    if held.seq + 1 >= len(records):
        return 0
    candidate = records[held.seq + 1].candidate
    return candidate.number if candidate is not None and candidate != held.candidate else 0


def _is_whole_blob(site: Site, blob: Blob) -> bool:
    try:
        with opened(site.store.root, site.store.blob_path(blob.sha256)) as fd:
            return sha256_of(fd, blob.size_bytes) == blob.sha256
    except (OSError, GatewayError):
        return False


def _trust(site: Site, facts: Collection[str]) -> Iterator[str]:
    acked = max(_numbers(facts, "trust"), default=0)
    try:
        version = trusted(site)
    except GatewayError as error:
        yield error.message
        return
    floor = site.trust.floor()
    if version < acked:
        yield f"trust {acked} was acknowledged and {version} is there"
    if floor.root < max(acked, version) or floor != (floor_of(floor.root) if floor.root else type(floor)()):
        yield f"the floor of the trust is {floor.root} beside version {version}, acknowledged {acked}"
    if acked and site.trust.clock().issued_unix_s < acked:
        yield f"the floor of the clock is behind version {acked}"


def settled(site: Site, rounds: int) -> Iterator[str]:
    """Yield what is wrong with a store that was brought to its end."""
    held = site.store.record(MODEL)
    if held != history(rounds)[-1]:
        yield f"the end is record {held.seq}, {held.phase.value}"
    if trusted(site) != rounds or site.trust.floor() != floor_of(rounds):
        yield f"the end is version {trusted(site)} of the trust"
    for path in leftovers(site.store.root):
        yield f"left over: {path.relative_to(site.store.root)}"
    if held.active is not None:
        names = {blob.sha256 for blob in release_of(held.active.number).blobs()}
        extra = {path.name for path in site.store.layout.blobs.iterdir()} ^ names
        if extra:
            yield f"blobs that should not be there, or are missing: {sorted(extra)}"
    # Mending says that nobody else writes: so leftovers count too.
    for finding in site.store.check(mend=True):
        yield f"in the end {finding.path}: {finding.problem}"
    used = site.store.usage().store_bytes
    if used > _MOST_BYTES:
        yield f"{used} bytes are in use, {_MOST_BYTES} at most are wanted"


def _numbers(facts: Collection[str], kind: str) -> list[int]:
    return [int(fact.split()[1]) for fact in facts if fact.startswith(f"{kind} ")]


def _ignore(_: str) -> None:
    """Say nothing to anybody."""
