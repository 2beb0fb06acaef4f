"""Golden samples with raw outputs, declarations and files that are not what they should be."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from gateway.errors import LoadFailed, WarmupFailed
from gateway.frames.prepared import StreamState
from gateway.inference.golden_run import declaration_of, read_arrays, run_golden
from gateway.inference.loaded import LoadedModel
from gateway.model import GoldenSample
from gateway.tensor import dequantize
from tests.inference.model_folders import copy, edit, load

RUNNING = "golden/running.f32"
EXPECT = "    expect:\n      kind: classification\n"


def with_outputs(tmp_path: Path, shift: float, tolerance: float) -> LoadedModel:
    """Return a model whose first sample expects its own raw outputs, moved by ``shift``."""
    folder = copy("motion-int8", tmp_path)
    model = load(folder)
    payload = memoryview((folder / RUNNING).read_bytes())
    declared = declaration_of(model.folder.card.golden[0])
    rows = model.pipeline("main").prepare(payload, declared, StreamState()).rows
    spec = model.engine.outputs[0]
    real = dequantize(model.run_rows(rows)[0][spec.name], spec.quantization)
    assert spec.name == "probabilities"
    np.savez(folder / "golden" / "raw.npz", probabilities=real + np.float32(shift))
    edit(folder, (EXPECT, f"{EXPECT}      outputs: golden/raw.npz\n      tolerance: {tolerance}\n"))
    return load(folder)


def test_raw_outputs_in_real_values_hold_within_their_tolerance(tmp_path: Path) -> None:
    assert RUNNING in run_golden(with_outputs(tmp_path, shift=0.005, tolerance=0.01), "main")


def test_raw_outputs_beyond_their_tolerance_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WarmupFailed, match=r"running\.f32: outputs: probabilities: differs by up to 0\.02"):
        run_golden(with_outputs(tmp_path, shift=0.02, tolerance=0.01), "main")


def test_a_sample_that_cannot_be_decoded_fails_with_the_reason(tmp_path: Path) -> None:
    folder = copy("motion-int8", tmp_path)
    (folder / RUNNING).write_bytes(b"short")
    with pytest.raises(WarmupFailed, match=r"golden/running\.f32: refused\."):
        run_golden(load(folder), "main")


def test_a_sample_that_declares_the_unknown_is_refused() -> None:
    with pytest.raises(WarmupFailed, match=r"declaration: .*colour"):
        declaration_of(GoldenSample("a", "", {"colour": "red"}))


def test_a_sample_declares_its_media_and_facts() -> None:
    declared = declaration_of(GoldenSample("a", "audio/pcm", {"shape": [3, 2], "rate_hz": 8000.0}))
    assert (declared.media, declared.shape, declared.rate_hz) == ("audio/pcm", (3, 2), 8000.0)


def test_a_sample_that_is_absent_is_refused(tmp_path: Path) -> None:
    folder = copy("motion-int8", tmp_path)
    (folder / RUNNING).unlink()
    with pytest.raises(LoadFailed, match=r"golden\.file"):
        run_golden(load(folder), "main")


def archive(**members: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as into:
        for name, data in members.items():
            into.writestr(f"{name}.npy", data)
    return made.getvalue()


class Dangerous:
    """Would tell if anything unpickled it."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (pytest.fail, ("unpickled",))


def pickled() -> bytes:
    into = io.BytesIO()
    np.save(into, np.array([Dangerous()], object), allow_pickle=True)
    return into.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no archive",
        archive(y=b"no array"),
        archive(y=b"\x93NUMPY\x01\x00\xff\xff"),
        archive(y=pickled()),
        archive(y=pickle.dumps(1)),
        archive(
            y=b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (999999999999,)}"
            + b" " * 50
        ),
        archive(y=b"\0" * (257 << 20)),
    ],
    ids=["empty", "no-archive", "no-array", "cut-head", "pickled", "pickle", "vast-shape", "bomb"],
)
def test_arrays_that_are_not_plain_are_refused(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "raw.npz"
    file.write_bytes(data)
    with pytest.raises(LoadFailed, match=r"raw\.npz: "):
        read_arrays(file)
