"""Blobs for tests, and folders that hold them as a repository does."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

from gateway.updates.release import CHUNK_BYTES, Blob


def blob_of(data: bytes) -> Blob:
    """Return the blob that these bytes are."""
    pieces = (data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES))
    table = tuple(hashlib.sha256(piece).hexdigest() for piece in pieces)
    return Blob(hashlib.sha256(data).hexdigest(), len(data), table)


def noise(size: int, seed: int = 1) -> bytes:
    """Return bytes that do not compress, the same for the same seed."""
    return random.Random(seed).randbytes(size)


def put(root: Path, data: bytes) -> Blob:
    """Lay bytes down as ``blobs/<sha256>`` of a repository."""
    blob = blob_of(data)
    (root / "blobs").mkdir(exist_ok=True)
    (root / "blobs" / blob.sha256).write_bytes(data)
    return blob


def part_of(data: bytes, index: int) -> bytes:
    """Return one chunk."""
    return data[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]
