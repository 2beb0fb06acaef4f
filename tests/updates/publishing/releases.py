"""Packed releases and repositories for tests: real manifests, real keys, real metadata."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from gateway.updates.manifest import manifest_bytes
from gateway.updates.publishing.keys import KeyFolders
from gateway.updates.publishing.repository import Repository
from gateway.updates.publishing.roles import Profile
from gateway.updates.release import CHUNK_BYTES, Blob, Release, ReleaseFile

# 2026-01-01, and a build of the software some weeks before.
NOW_S = 1_767_225_600
BUILD_S = NOW_S - 40 * 86_400
DAY_S = 86_400


@dataclass
class Hand:
    """A clock that a test moves."""

    unix_s: float = NOW_S

    def __call__(self) -> float:
        """Return the time."""
        return self.unix_s


def no_passphrase(what: str) -> bytes | None:
    """Know none."""
    del what
    return None


def blob_of(data: bytes) -> Blob:
    """Return how a manifest names bytes."""
    pieces = [data[place : place + CHUNK_BYTES] for place in range(0, len(data), CHUNK_BYTES)]
    chunks = tuple(hashlib.sha256(piece).hexdigest() for piece in pieces)
    return Blob(hashlib.sha256(data).hexdigest(), len(data), chunks)


def pack(folder: Path, number: int, model: str = "door", weights: bytes = b"") -> Path:
    """Make a packed release and return its folder."""
    files = {
        "card.yaml": f"name: {model}\n".encode(),
        "model.tflite": weights or b"weights %d" % number,
        "golden/a.npy": b"sample",
    }
    named = tuple(ReleaseFile(path, blob_of(data)) for path, data in files.items())
    release = Release(model, number, f"{number}.0.0", "tflite", named)
    target = folder / f"{model}-{number}-{hashlib.sha256(weights).hexdigest()[:6]}"
    for path, data in files.items():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (target / path).write_bytes(data)
    (target / "manifest.json").write_bytes(manifest_bytes(release))
    return target


def begin(folder: Path, clock: Hand, profile: Profile = Profile.ONLINE) -> Repository:
    """Begin a repository with its keys beside it."""
    keys = KeyFolders([folder.with_suffix(".keys")], no_passphrase)
    return Repository.create(folder, keys, profile, clock=clock)


def reopen(folder: Path, clock: Hand) -> Repository:
    """Open a repository whose keys lie beside it."""
    return Repository.open(folder, KeyFolders([folder.with_suffix(".keys")], no_passphrase), clock=clock)
