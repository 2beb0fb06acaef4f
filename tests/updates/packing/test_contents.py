"""Which files a release consists of, and their digests."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from gateway.inference.card import read_folder
from gateway.updates.packing.contents import blob_of, file_names
from gateway.updates.release import CHUNK_BYTES
from tests.inference.model_folders import MODELS


def test_chunks_are_those_of_the_file(tmp_path: Path) -> None:
    data = np.random.default_rng(1).integers(0, 256, 2 * CHUNK_BYTES + 1, np.uint8).tobytes()
    path = tmp_path / "blob"
    path.write_bytes(data)
    blob = blob_of(path)
    assert (blob.sha256, blob.size_bytes) == (hashlib.sha256(data).hexdigest(), len(data))
    pieces = [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)]
    assert blob.chunks == tuple(hashlib.sha256(piece).hexdigest() for piece in pieces)
    path.write_bytes(b"")
    assert blob_of(path).chunks == ()


def test_every_shipped_model_names_what_it_needs() -> None:
    for card in MODELS.glob("*/card.yaml"):
        names = file_names(read_folder(card.parent))
        held = {path.relative_to(card.parent).as_posix() for path in card.parent.rglob("*") if path.is_file()}
        assert set(names) == held
