"""Which files a release consists of, and their digests."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from gateway.inference.card import read_folder
from gateway.updates.packing.contents import blob_of, file_names
from gateway.updates.release import CHUNK_BYTES
from tests import onnx_writer
from tests.inference.made_models import weights
from tests.inference.model_folders import MODELS
from tests.inference.twins import TWIN, twins


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


def test_twins_their_samples_and_their_external_data_belong_to_the_release(tmp_path: Path) -> None:
    own = sample_named(tmp_path / "m", "golden/own.f32")
    at = twins(tmp_path / "m", line={"golden": [own]})
    assert set(file_names(read_folder(at))) == {"card.yaml", "m.onnx", TWIN, "golden/1.f32", "golden/own.f32"}
    weights(at / "w.bin")
    onnx_writer.beside(at / TWIN, onnx_writer.External("w.bin"))
    assert "w.bin" in file_names(read_folder(at))


def sample_named(at: Path, name: str) -> dict[str, object]:
    (at / name).parent.mkdir(parents=True)
    (at / name).write_bytes(np.zeros(16, np.float32).tobytes())
    return {"file": name, "expect": {"kind": "tensors"}}
