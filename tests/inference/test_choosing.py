"""Choosing a backend by proof: real processes, a provider that goes wrong by a script, and a way down."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from gateway.configuration.settings import StepSettings
from gateway.errors import LoadFailed, PipelineMisfit, WarmupFailed
from gateway.inference.choosing import Choice, Chooser
from gateway.inference.engines.board import Board
from gateway.inference.engines.engine import EngineOptions
from gateway.inference.engines.plugins import CPU, CUDA, TENSORRT
from gateway.inference.loaded import LoadedModel, LoadSpec, PipelineSpec
from gateway.inference.proof_cache import ProofCache
from tests.inference.model_folders import MODELS
from tests.inference.played import FAKE, Play, scripted
from tests.inference.twins import TWIN, twins

play = pytest.fixture(scripted)
PLAIN = Board(providers=(CPU,), memory_bytes=8 << 30)
ORIN = Board(soc="tegra234", sm=87, gpu=True, providers=(TENSORRT, CUDA, CPU), memory_bytes=8 << 30)


@dataclass
class Heard:
    """What a chooser told."""

    built: list[str] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    chosen: list[str] = field(default_factory=list)

    def engine_building(self, model: str, engine: str, progress: str) -> None:
        self.built.append(progress)

    def engine_failed(self, model: str, engine: str, reason: str) -> None:
        self.failed.append((engine, reason))

    def engine_chosen(self, model: str, choice: Choice) -> None:
        self.chosen.append(choice.proof.version.engine)


def motion(*providers: str, **options: Any) -> LoadSpec:
    folder = str(MODELS / "motion-int8-onnx")
    return LoadSpec("motion", folder, options=EngineOptions(providers=providers, **options))


def chosen(spec: LoadSpec, at: Path, board: Board = PLAIN) -> tuple[Choice, Heard]:
    heard = Heard()
    chooser = Chooser(ProofCache(at), at, heard, lambda: board)
    choice = asyncio.run(chooser.choose(spec, timeout_s=60))
    assert chooser.choices[spec.name] is choice
    return choice, heard


def test_a_board_without_a_gpu_runs_a_model_as_it_always_did(tmp_path: Path) -> None:
    choice, heard = chosen(motion(), tmp_path)
    assert choice.spec.options == EngineOptions(providers=(CPU,))
    assert (choice.proof.facts.backend, heard.failed, heard.built) == (CPU, [], [])
    assert choice.why() == "the processor has integer kernels for quantised layers"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ({"load": "sigill"}, "SIGILL"),
        ({"load": "no_kernels"}, "no kernel image"),
        ({"load": "oom"}, "Failed to allocate"),
        ({"load": "fallback"}, "silently runs it on CPUExecutionProvider"),
        ({"run": "wrong"}, "golden samples"),
        ({"run": "sticky"}, "an illegal memory access"),
    ],
)
def test_a_backend_that_does_not_hold_is_left_for_the_next_and_it_is_said_why(
    play: Play, tmp_path: Path, script: dict[str, Any], words: str
) -> None:
    play(**script)
    choice, heard = chosen(motion(FAKE, CPU), tmp_path / "cache")
    assert choice.proof.facts.backend == CPU
    assert CPU in heard.chosen[0]
    ((engine, reason),) = heard.failed
    assert engine == f"{FAKE} int8"
    assert words in reason
    assert words in str(choice.failed[0])
    assert choice.why().endswith(f"{FAKE} int8 failed")


def test_a_backend_that_holds_is_named_with_its_precision(play: Play, tmp_path: Path) -> None:
    play()
    choice, heard = chosen(motion(FAKE, CPU), tmp_path / "cache")
    assert heard.failed == []
    assert choice.spec.options.exact
    assert choice.proof.version.engine.endswith(f"{FAKE} int8")


def test_the_last_candidates_error_is_the_answer(play: Play, tmp_path: Path) -> None:
    play(run="wrong")
    with pytest.raises(WarmupFailed, match="golden samples"):
        chosen(motion(FAKE), tmp_path / "cache")


def test_nothing_is_remembered_of_a_failure_but_of_a_success_it_is(play: Play, tmp_path: Path) -> None:
    play(load="sigill")
    assert chosen(motion(FAKE, CPU), tmp_path / "cache")[0].proof.facts.backend == CPU
    play()
    assert chosen(motion(FAKE, CPU), tmp_path / "cache")[0].proof.facts.backend == FAKE
    play(load="sigill")  # nobody loads it: the proof is kept
    assert chosen(motion(FAKE, CPU), tmp_path / "cache")[0].proof.facts.backend == FAKE


def test_an_engine_is_built_once_and_its_progress_is_heard(play: Play, tmp_path: Path) -> None:
    play(build_s=0.2, build_steps=3)
    choice, heard = chosen(motion(FAKE, CPU), tmp_path / "cache")
    assert heard.built == [f"building an engine: {step} of 3" for step in (1, 2, 3)]
    place = Path(choice.spec.options.engine_cache)
    assert [path.name for path in place.iterdir()] == ["fake.engine"]
    assert place.name.startswith(choice.proof.mapped)
    again, heard = chosen(motion(FAKE, CPU), tmp_path / "cache")
    assert (again, heard.built) == (choice, [])


def test_a_proof_without_its_engine_is_none(play: Play, tmp_path: Path) -> None:
    play(build_s=0.1)
    choice, _ = chosen(motion(FAKE, CPU), tmp_path / "cache")
    (Path(choice.spec.options.engine_cache) / "fake.engine").unlink()
    _, heard = chosen(motion(FAKE, CPU), tmp_path / "cache")
    assert len(heard.built) == 4


def test_what_a_failed_build_left_is_deleted(play: Play, tmp_path: Path) -> None:
    play(build_s=0.1, run="wrong")
    chosen(motion(FAKE, CPU), tmp_path / "cache")
    assert list((tmp_path / "cache" / "engines").iterdir()) == []


def test_an_engine_of_other_weights_is_never_looked_at(play: Play, tmp_path: Path) -> None:
    play()
    at = twins(tmp_path / "m")
    spec = LoadSpec("m", str(at), options=EngineOptions(providers=(FAKE, CPU)))
    choice, _ = chosen(spec, tmp_path / "cache")
    other = twins(tmp_path / "n", seed_of_twin=3)
    moved = replace(choice.spec, folder=str(other))
    with pytest.raises(LoadFailed, match="was replaced since its engines were looked for"):
        LoadedModel.load(moved)


def test_a_twin_is_taken_where_the_card_and_the_board_make_it_the_better_one(
    play: Play, tmp_path: Path
) -> None:
    play()
    at = twins(tmp_path / "m")
    spec = LoadSpec("m", str(at), options=EngineOptions(providers=(FAKE, CPU)))
    choice, _ = chosen(spec, tmp_path / "cache")
    assert (choice.spec.file, choice.proof.version.engine.split()[-2:]) == (TWIN, [FAKE, "fp16"])
    assert choice.proof.version.digest == f"sha256:{choice.proof.mapped}"


def test_a_twin_that_answers_wrongly_is_left_for_the_cards_own_file(tmp_path: Path) -> None:
    at = twins(tmp_path / "m", seed_of_twin=2)
    spec = LoadSpec("m", str(at), options=EngineOptions(precision="fp16"))
    with pytest.raises(WarmupFailed):
        chosen(spec, tmp_path / "cache")
    choice, _ = chosen(LoadSpec("m", str(at), options=EngineOptions()), tmp_path / "cache")
    assert choice.spec.file == ""


def test_a_precision_that_no_file_has_is_refused_with_the_reasons(tmp_path: Path) -> None:
    with pytest.raises(LoadFailed, match=r"nothing here may run it: .* the configuration wants fp16"):
        chosen(motion(precision="fp16"), tmp_path)


def test_a_gpu_that_this_runtime_cannot_use_costs_a_proof_and_no_service(tmp_path: Path) -> None:
    """The board says that it is an Orin with TensorRT; the runtime that is installed here has neither."""
    choice, heard = chosen(motion(), tmp_path, ORIN)
    assert choice.proof.facts.backend == CPU
    ((engine, reason),) = heard.failed
    assert engine == f"{TENSORRT} int8"
    assert f"has none of the providers {TENSORRT}" in reason
    assert any("no kernels for quantised layers" in str(each) for each in choice.passed_over)


def test_bounds_that_nobody_set_are_made_from_the_boards_memory(play: Play, tmp_path: Path) -> None:
    play()
    options = chosen(motion(FAKE, CPU), tmp_path / "cache", ORIN)[0].spec.options
    assert (options.gpu_memory_bytes, options.gpu_workspace_bytes) == (4 << 30, 1 << 30)
    options = chosen(motion(FAKE, gpu_memory_bytes=7, gpu_workspace_bytes=8), tmp_path / "d", ORIN)[
        0
    ].spec.options
    assert (options.gpu_memory_bytes, options.gpu_workspace_bytes) == (7, 8)


def test_a_pipeline_that_fits_no_file_is_a_misfit(tmp_path: Path) -> None:
    pipeline = PipelineSpec("p", (StepSettings("resize", {}),), None)
    with pytest.raises(PipelineMisfit):
        chosen(replace(motion(), pipelines=(pipeline,)), tmp_path)
