"""A model release as its signed manifest states it: numbered, immutable files with a hash for every chunk.

Pure. A manifest is JSON of at most ``MOST_MANIFEST_BYTES``; unknown keys are
refused, so that a field which a newer gateway must obey is never overlooked by an
older one (``min_gateway`` and ``schema`` say what is needed).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

CHUNK_BYTES: Final = 1 << 20
MOST_MANIFEST_BYTES: Final = 256 << 10
MOST_FILE_BYTES: Final = 64 << 30
MOST_FILES: Final = 256
SCHEMA: Final = 1


@dataclass(frozen=True, slots=True)
class Blob:
    """Immutable bytes as a source serves them.

    Attributes:
        sha256: Digest of all of them, in hex; also their name.
        size_bytes: How many there are.
        chunks: SHA-256 in hex of each ``CHUNK_BYTES``; the last may be shorter. Empty for an empty blob.
    """

    sha256: str
    size_bytes: int
    chunks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReleaseFile:
    """One file of a release.

    Attributes:
        path: ``NAME`` or ``FOLDER/NAME`` in the release's folder.
        blob: Its bytes.
    """

    path: str
    blob: Blob


@dataclass(frozen=True, slots=True)
class Delta:
    """A patch that makes one blob out of another which the board may have.

    Attributes:
        from_sha256: Blob to start from.
        to_sha256: Blob that comes out; always checked.
        algorithm: ``zstd-patch-from``.
        blob: The patch itself.
    """

    from_sha256: str
    to_sha256: str
    algorithm: str
    blob: Blob


@dataclass(frozen=True, slots=True)
class Budgets:
    """What the release may cost on a board; 0 means no bound.

    Attributes:
        load_s: Seconds to load and warm up.
        p99_ms: Milliseconds of one inference at p99, in the validation child.
        memory_bytes: Private memory of one lane.
    """

    load_s: float = 0.0
    p99_ms: float = 0.0
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Release:
    """One release of one model.

    Attributes:
        model: Name of the model; the key under ``models:`` on the boards.
        number: The release counter: strictly rising, never used twice.
        label: Version for people, such as ``2.1.0``.
        format: ``tflite`` or ``onnx``.
        files: Every file, ``card.yaml`` among them.
        min_gateway: Least version of the gateway that can run it, ``X.Y.Z``; empty for any.
        hardware: Names of boards it is for; empty for all.
        budgets: What it may cost.
        deltas: Patches from earlier blobs.
        min_release: The author's own floor: boards never go below it, whatever an assignment allows.
        issued: Unix seconds.
        notes: Words for people.
    """

    model: str
    number: int
    label: str
    format: str
    files: tuple[ReleaseFile, ...]
    min_gateway: str = ""
    hardware: tuple[str, ...] = ()
    budgets: Budgets = Budgets()
    deltas: tuple[Delta, ...] = ()
    min_release: int = 0
    issued: int = 0
    notes: str = ""

    @property
    def size_bytes(self) -> int:
        """Bytes of all distinct blobs."""
        return sum({file.blob.sha256: file.blob.size_bytes for file in self.files}.values())

    def blobs(self) -> tuple[Blob, ...]:
        """Return the distinct blobs of the files, in the order of the files."""
        return tuple({file.blob.sha256: file.blob for file in self.files}.values())


@dataclass(frozen=True, slots=True)
class ReleaseRef:
    """Which release: its number, and the digest of its signed manifest.

    Attributes:
        number: The release counter.
        digest: SHA-256 in hex of the manifest's bytes, which name every byte of the release.
    """

    number: int
    digest: str


def manifest_digest(manifest: bytes) -> str:
    """Return the digest by which a ``ReleaseRef`` knows a manifest."""
    return hashlib.sha256(manifest).hexdigest()
