"""LiteRT's CompiledModel: the interpreter's answers, and never on a core that it would end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gateway.errors import LoadFailed, RunFailed
from gateway.inference.engines import litert
from gateway.inference.engines.engine import Engine, EngineOptions
from gateway.inference.engines.precision import Processor
from gateway.inference.engines.select import open_engine
from gateway.inference.proof import prove
from tests import tflite_writer
from tests.inference.engines import boards
from tests.inference.model_folders import MODELS, spec

FILES = {
    "motion-int8": "motion_int8.tflite",
    "efficientnet-lite0-int8": "efficientnet_lite0_int8.tflite",
    "blazeface-short-range": "face_detection_short_range.tflite",
}


def opened(name: str, *delegates: str) -> Engine:
    return open_engine(MODELS / name / FILES[name], "tflite", "litert", EngineOptions(delegates=delegates))


def ones(engine: Engine, value: int = 1) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    return {
        each.name: np.full([size or 1 for size in each.shape], value, each.dtype) for each in engine.inputs
    }


@pytest.mark.parametrize("name", FILES)
def test_it_answers_as_the_interpreter_does(name: str) -> None:
    compiled, interpreted = opened(name, "compiled"), opened(name, "xnnpack")
    assert (compiled.inputs, compiled.outputs) == (interpreted.inputs, interpreted.outputs)
    assert compiled.facts.backend == "compiled"
    first, second = compiled.run(ones(compiled)), interpreted.run(ones(interpreted))
    assert first.keys() == second.keys()
    for key, array in first.items():
        assert np.array_equal(array, second[key])


def test_outputs_stay_what_they_were_when_the_model_runs_again() -> None:
    engine = opened("motion-int8", "compiled")
    first = engine.run(ones(engine, 90))["probabilities"]
    kept = first.tolist()
    assert engine.run(ones(engine, -90))["probabilities"].tolist() != kept
    engine.close()
    assert first.tolist() == kept


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"window": np.zeros((1, 99, 6), np.int8)},
        {"window": np.zeros((2, 100, 6), np.int8)},
        {"window": np.zeros((1, 100, 6), np.float32)},
    ],
)
def test_inputs_that_do_not_fit_fail_the_run_and_not_the_engine(
    inputs: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]],
) -> None:
    engine = opened("motion-int8", "compiled")
    with pytest.raises(RunFailed):
        engine.run(inputs)
    assert engine.run(ones(engine))["probabilities"].shape == (1, 4)


def test_a_model_is_proven_on_it_as_on_any_other() -> None:
    options = EngineOptions(delegates=("compiled",))
    proof = asyncio.run(prove(spec("motion-int8", options=options), timeout_s=60))
    assert (proof.facts.backend, len(proof.golden)) == ("compiled", 2)
    assert "no network" in proof.confined or "landlock" in proof.confined


@pytest.mark.parametrize("features", [boards.A57, boards.CARMEL])
@pytest.mark.parametrize("delegate", ["compiled", "webgpu"])
def test_a_core_that_it_would_end_never_sees_it(
    monkeypatch: pytest.MonkeyPatch, features: str, delegate: str
) -> None:
    monkeypatch.setattr(litert, "processor", lambda: Processor("aarch64", frozenset(features.split())))
    with pytest.raises(LoadFailed, match=f"delegate {delegate}: it would end the process by SIGILL"):
        opened("motion-int8", delegate)


@pytest.mark.parametrize("make", [tflite_writer.hidden_state, tflite_writer.recurrent])
def test_a_model_that_keeps_state_is_refused_for_nothing_resets_it(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    with pytest.raises(LoadFailed, match="streams would mix"):
        open_engine(make(tmp_path / "m.tflite"), "tflite", "litert", EngineOptions(delegates=("compiled",)))


@pytest.mark.skipif(Path("/dev/dri").exists(), reason="there may be a GPU that WebGPU runs on")
def test_without_a_gpu_webgpu_is_an_error_and_not_the_processor() -> None:
    options = EngineOptions(delegates=("webgpu",))
    with pytest.raises(LoadFailed):
        asyncio.run(prove(spec("blazeface-short-range", options=options), timeout_s=60))


def test_no_file_but_a_model_is_compiled(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL3" + b"\0" * 64)
    with pytest.raises(LoadFailed):
        open_engine(path, "tflite", "litert", EngineOptions(delegates=("compiled",)))
