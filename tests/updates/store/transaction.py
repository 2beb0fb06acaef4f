"""The life of a store in a few lines: releases fetched, staged, baked, committed, and old ones collected.

Run as a program it does one installation and says on standard output what it was
told is durable: whatever kills it, those lines must stay true.
"""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

from gateway.updates.manifest import manifest_bytes
from gateway.updates.release import CHUNK_BYTES, Blob, Release, ReleaseFile, ReleaseRef, manifest_digest
from gateway.updates.state import ModelRecord, Phase
from gateway.updates.store import partial as partial_blobs
from gateway.updates.store.partial import PartialBlob
from gateway.updates.store.store import Store

MODEL: Final = "door"
QUOTA_BYTES: Final = 1 << 30
WEIGHTS_BYTES: Final = CHUNK_BYTES + 12_345


def open_store(root: Path) -> Store:
    """Open a store with room enough, which syncs even these small blobs while they come."""
    partial_blobs.SYNC_BYTES = CHUNK_BYTES  # type: ignore[misc]
    return Store.open(root, quota_bytes=QUOTA_BYTES, reserve_bytes=0)


@cache
def noise(seed: str, size_bytes: int) -> bytes:
    """Return bytes that no compression or sparse file makes smaller, the same for the same seed."""
    return random.Random(seed).randbytes(size_bytes)


@cache
def blob_of(data: bytes) -> Blob:
    """Return the description of some bytes."""
    chunks = [data[start : start + CHUNK_BYTES] for start in range(0, len(data), CHUNK_BYTES)]
    return Blob(
        hashlib.sha256(data).hexdigest(),
        len(data),
        tuple(hashlib.sha256(chunk).hexdigest() for chunk in chunks),
    )


def contents(number: int, model: str = MODEL) -> dict[str, bytes]:
    """Return the files of a release; all releases of a model share their labels."""
    return {
        "weights.tflite": noise(f"{model} {number}", WEIGHTS_BYTES),
        "card.yaml": f"version: {number}\n".encode(),
        "golden/one.npy": noise(f"{model} golden {number}", 2000),
        "labels.txt": b"cat\ndog\n",
    }


def release_of(number: int, model: str = MODEL, files: Mapping[str, bytes] | None = None) -> Release:
    """Return the release that has these files."""
    held = contents(number, model) if files is None else files
    return Release(
        model=model,
        number=number,
        label=f"1.{number}",
        format="tflite",
        files=tuple(ReleaseFile(path, blob_of(data)) for path, data in held.items()),
    )


def ref_of(release: Release) -> ReleaseRef:
    """Return how a record names a release."""
    return ReleaseRef(release.number, manifest_digest(manifest_bytes(release)))


def feed(partial: PartialBlob, data: bytes) -> list[int]:
    """Write what is missing of a blob; return the indices of the chunks that were."""
    missing = partial.missing()
    for index in missing:
        partial.write(index, data[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES])
    return missing


def put_blob(store: Store, data: bytes) -> Blob:
    """Bring some bytes into the store."""
    blob = blob_of(data)
    partial = store.partial(blob)
    try:
        feed(partial, data)
        partial.finish()
    finally:
        partial.close()
    return blob


def fetch(store: Store, number: int, model: str = MODEL) -> Release:
    """Bring all blobs of a release into the store, if they are not there."""
    release = release_of(number, model)
    for file, data in zip(release.files, contents(number, model).values(), strict=True):
        if not store.has(file.blob):
            put_blob(store, data)
    return release


def stage(store: Store, number: int, model: str = MODEL) -> Release:
    """Fetch a release and make its folder."""
    release = fetch(store, number, model)
    store.stage(release, manifest_bytes(release))
    return release


def install(store: Store, number: int, acked: Callable[[str], None] = lambda _: None) -> None:
    """Do everything that brings a release into service, from wherever an earlier try stopped.

    Args:
        store: Where.
        number: Which release of ``MODEL``.
        acked: Told each fact when the store says that it is durable.
    """
    release = release_of(number)
    ref = ref_of(release)
    store.preflight(store.needed_bytes(release))
    stage(store, number)
    acked(f"staged {number}")
    held = store.record(MODEL)
    if held.active != ref:
        held = _step(store, held, phase=Phase.VALIDATING, candidate=ref, boots=0)
        held = _step(store, held, phase=Phase.READY)
        held = _step(store, held, phase=Phase.BAKING, active=ref, previous=held.active)
        acked(f"active {number}")
    if held.phase is not Phase.IDLE:
        floor = max(held.floor, number)
        _step(store, held, phase=Phase.IDLE, candidate=None, floor=floor)
    acked(f"floor {number}")
    bad = ReleaseRef(1000 + number, "ab" * 32)
    store.quarantine(MODEL, bad, "update.validation", "it crashed", 1_700_000_000)
    acked(f"quarantined {bad.number}")
    store.audit("committed", model=MODEL, release=number)
    acked("audited")
    store.collect(0)


def _step(store: Store, held: ModelRecord, **changes: object) -> ModelRecord:
    record = replace(held, seq=held.seq + 1, **changes)  # type: ignore[arg-type]
    store.commit(record)
    return record


def main(root: str, number: str) -> None:
    """Install one release and say what is durable."""
    store = open_store(Path(root))
    install(store, int(number), _say)
    store.close()
    _say("done")


def _say(fact: str) -> None:
    sys.stdout.write(f"{fact}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
