"""Derived files: used by the model they were made of, never by another, never when damaged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gateway.inference.card import file_digest
from gateway.inference.derived import DerivedFiles, DerivedKey, derived_key
from gateway.inference.engines.engine import EngineOptions
from gateway.inference.engines.ort import version
from gateway.inference.lane import Lane
from gateway.inference.loaded import LoadSpec
from gateway.inference.proof import prove
from gateway.inference.proof_cache import ProofCache, prove_once
from tests import onnx_writer, tflite_writer
from tests.inference.made_models import folder
from tests.inference.model_folders import load, spec, write

KEY = DerivedKey("a" * 64, "b" * 64)
ROW = {"x": np.arange(16, dtype=np.float32).reshape(1, 16)}


def kept(files: DerivedFiles, key: DerivedKey, body: bytes) -> None:
    with files.workshop() as place:
        (place / "made").write_bytes(body)
        assert files.keep(key, place / "made")


def found(files: DerivedFiles, key: DerivedKey) -> bytes | None:
    file = files.find(key)
    if file is None:
        return None
    try:
        return file.start(file.size_bytes)
    finally:
        file.close()


def test_what_was_kept_is_found_under_its_key_alone(tmp_path: Path) -> None:
    files = DerivedFiles(tmp_path / "derived")
    assert found(files, KEY) is None
    kept(files, KEY, b"made of a")
    assert found(files, KEY) == b"made of a"
    assert found(files, DerivedKey("c" * 64, KEY.rests_on)) is None
    assert found(files, DerivedKey(KEY.sha256, "c" * 64)) is None
    kept(files, KEY, b"made again")
    assert found(files, KEY) == b"made again"
    assert sorted(path.suffix for path in (tmp_path / "derived").iterdir()) == [".json", ".made"]


def test_a_key_rests_on_the_bytes_the_runtime_and_its_options_but_not_on_the_place() -> None:
    options = EngineOptions()
    key = derived_key("a" * 64, "onnxruntime", "1", options)
    assert key == derived_key("a" * 64, "onnxruntime", "1", replace(options, derived="/elsewhere"))
    others = [
        derived_key("b" * 64, "onnxruntime", "1", options),
        derived_key("a" * 64, "litert", "1", options),
        derived_key("a" * 64, "onnxruntime", "2", options),
        derived_key("a" * 64, "onnxruntime", "1", replace(options, threads=2)),
    ]
    assert len({key, *others}) == 5


def test_another_processor_has_other_files(monkeypatch: pytest.MonkeyPatch) -> None:
    key = derived_key("a" * 64, "onnxruntime", "1", EngineOptions())
    monkeypatch.setattr("gateway.inference.derived.machine", lambda: ("aarch64", "asimd"))
    assert derived_key("a" * 64, "onnxruntime", "1", EngineOptions()) != key


@pytest.mark.parametrize(
    "damage",
    [
        lambda made, _: made.write_bytes(b"made of b"),
        lambda made, _: made.write_bytes(b"made of"),
        lambda made, _: made.write_bytes(b""),
        lambda made, _: made.unlink(),
        lambda _, side: side.unlink(),
        lambda _, side: side.write_text("{"),
        lambda _, side: side.write_text("[]"),
        lambda _, side: side.write_text(json.dumps({"sha256": None})),
        lambda _, side: side.write_bytes(b"\xff" * 9000),
    ],
)
def test_what_is_damaged_is_deleted_and_never_used(
    tmp_path: Path, damage: Callable[[Path, Path], object]
) -> None:
    files = DerivedFiles(tmp_path)
    kept(files, KEY, b"made of a")
    (made,), (side,) = tmp_path.glob("*.made"), tmp_path.glob("*.json")
    made.chmod(0o644)
    damage(made, side)
    assert found(files, KEY) is None
    assert list(tmp_path.iterdir()) == []


def test_what_was_made_of_a_release_goes_with_it(tmp_path: Path) -> None:
    files = DerivedFiles(tmp_path)
    for rests_on in ("1" * 64, "2" * 64):
        kept(files, DerivedKey("a" * 64, rests_on), b"x")
        kept(files, DerivedKey("b" * 64, rests_on), b"y")
    assert files.forget("a" * 64) == 2
    assert files.forget("*") == files.forget("a" * 64) == 0
    assert found(files, DerivedKey("a" * 64, "1" * 64)) is None
    assert found(files, DerivedKey("b" * 64, "1" * 64)) == b"y"
    assert len(list(tmp_path.iterdir())) == 4


def test_a_workshop_leaves_nothing(tmp_path: Path) -> None:
    files = DerivedFiles(tmp_path / "derived")
    with files.workshop() as place:
        (place / "half").write_bytes(b"x")
        assert not files.keep(KEY, place / "absent")
    assert list((tmp_path / "derived").iterdir()) == []


# With real runtimes.


def onnx(at: Path, seed: int) -> Path:
    """Put a model under one and the same name, by renaming, with its card."""
    onnx_writer.product(at / "new", seed).replace(at / "m.onnx")
    x = {"name": "x", "dtype": "float32", "shape": [1, 16]}
    return write(at, at / "m.onnx", [x], [{"name": "y", "dtype": "float32", "shape": [1, 4]}])


def options(tmp_path: Path) -> EngineOptions:
    return EngineOptions(derived=str(tmp_path / "derived"))


def answers(at: Path, tmp_path: Path) -> list[float]:
    model = load(at, options=options(tmp_path))
    try:
        return [float(each) for each in model.run_rows([ROW])[0]["y"].reshape(-1)]
    finally:
        model.close()


def test_twins_with_other_weights_answer_for_themselves_whatever_lies_in_the_cache(tmp_path: Path) -> None:
    at = folder(tmp_path / "model", onnx_writer.product, width=16)
    plain: dict[int, list[float]] = {}
    for seed in (1, 2, 1):
        wanted = spec(onnx(at, seed), options=options(tmp_path))
        plain.setdefault(seed, answers(at, tmp_path / "nowhere"))
        assert answers(at, tmp_path) == plain[seed]  # the twin's file lies there already
        asyncio.run(prove(wanted, timeout_s=60.0))
        assert answers(at, tmp_path) == plain[seed]
    assert plain[1] != plain[2]
    assert len(list((tmp_path / "derived").glob("*.made"))) == 2


def test_a_twin_s_file_under_a_model_s_own_key_would_be_noticed_by_these_tests(tmp_path: Path) -> None:
    at = folder(tmp_path / "model", onnx_writer.product, width=16)
    honest = answers(at, tmp_path)
    key = derived_key(file_digest(at / "m.onnx"), "onnxruntime", version(), options(tmp_path))
    twin = onnx_writer.product(tmp_path / "twin.onnx", 2)
    kept(DerivedFiles(tmp_path / "derived"), key, twin.read_bytes())
    assert answers(at, tmp_path) != honest


def test_a_damaged_derived_file_is_made_again_and_answers_stay_the_same(tmp_path: Path) -> None:
    at = folder(tmp_path / "model", onnx_writer.product, width=16)
    honest = answers(at, tmp_path)
    wanted = spec(at, options=options(tmp_path))
    cache = ProofCache(tmp_path / "proofs")
    asyncio.run(prove_once(wanted, cache, timeout_s=60.0))
    assert asyncio.run(prove_once(wanted, cache, timeout_s=60.0))[1] is False
    (made,) = (tmp_path / "derived").glob("*.made")
    sound = made.read_bytes()
    made.chmod(0o644)
    made.write_bytes(sound[:100] + bytes(8) + sound[108:])
    assert answers(at, tmp_path) == honest
    assert asyncio.run(prove_once(wanted, cache, timeout_s=60.0))[1] is True
    (made,) = (tmp_path / "derived").glob("*.made")
    assert made.read_bytes() == sound
    assert answers(at, tmp_path) == honest


def test_a_folder_that_cannot_be_written_costs_the_file_and_not_the_proof(tmp_path: Path) -> None:
    at = folder(tmp_path / "model", onnx_writer.product, width=16)
    (tmp_path / "derived").write_text("in the way")
    proof = asyncio.run(prove(spec(at, options=options(tmp_path)), timeout_s=60.0))
    assert proof.mapped == file_digest(at / "m.onnx")


class _Owner:
    def batch_done(self, *_: object) -> None: ...

    def lane_answered(self) -> None:
        pass

    def lane_lost(self, *_: object) -> None: ...


async def mapped(wanted: LoadSpec) -> str:
    """Return what a new lane says that it mapped."""
    lane = Lane(0, _Owner())
    try:
        return (await lane.start(wanted, 60.0)).mapped
    finally:
        await lane.close()


def tflite(at: Path, seed: int) -> Path:
    tflite_writer.product(at / "new", seed).replace(at / "m.tflite")
    x = {"name": "x", "dtype": "int8", "shape": [1, 16], "scale": 0.05}
    return write(at, at / "m.tflite", [x], [{"name": "y", "dtype": "int8", "shape": [1, 4], "scale": 0.1}])


def test_tflite_twins_under_one_name_answer_for_themselves_and_say_which_they_are(tmp_path: Path) -> None:
    at = tmp_path / "model"
    at.mkdir()
    row = {"x": np.arange(16, dtype=np.int8).reshape(1, 16)}
    seen: dict[int, object] = {}
    for seed in (1, 2, 1):
        model = load(tflite(at, seed), options=options(tmp_path))
        assert model.engine.facts.backend == "xnnpack"
        answer = model.run_rows([row])[0]["y"].tolist()
        assert seen.setdefault(seed, answer) == answer
        wanted = spec(at, options=options(tmp_path))
        assert asyncio.run(mapped(wanted)) == file_digest(at / "m.tflite")
        asyncio.run(prove(wanted, timeout_s=60.0))
    assert seen[1] != seen[2]
    assert list((tmp_path / "derived").iterdir()) == []
