"""Models that lanes share: one copy, as long as anybody runs it, and never another file's."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gateway.errors import EngineFailed, OutOfMemory, RunFailed
from gateway.frames.limits import PayloadLimits
from gateway.inference.engines.engine import EngineOptions
from gateway.inference.loaded import LoadSpec, PipelineSpec
from gateway.inference.opening import OpenedModel, open_folder
from gateway.inference.shared_models import SharedModels, model_key
from gateway.inference.watched_engine import WatchedEngine
from gateway.tensor import Array
from tests.inference.model_folders import MODELS

SPEC = LoadSpec("motion", str(MODELS / "motion-int8-onnx"))


def opened(model: str = "motion-int8-onnx") -> OpenedModel:
    return open_folder(("motion", str(MODELS / model), ""), "auto", EngineOptions(), lambda _: None)


def zeros(model: OpenedModel) -> dict[str, Array]:
    return {
        spec.name: np.zeros([size or 1 for size in spec.shape], spec.dtype) for spec in model.engine.inputs
    }


def test_what_is_a_lanes_own_makes_no_difference() -> None:
    other = replace(
        SPEC, name="other", pipelines=(PipelineSpec("p"),), limits=PayloadLimits(1 << 10, 1 << 10, 1 << 10)
    )
    assert model_key(other) == model_key(SPEC)


@pytest.mark.parametrize(
    "other",
    [
        replace(SPEC, folder=str(MODELS / "motion-int8")),
        replace(SPEC, engine="onnxruntime"),
        replace(SPEC, file="twin.onnx"),
        replace(SPEC, options=EngineOptions(threads=2)),
        replace(SPEC, options=EngineOptions(precision="fp16")),
    ],
)
def test_what_is_loaded_and_how_makes_another_model(other: LoadSpec) -> None:
    assert model_key(other) != model_key(SPEC)


def test_a_file_that_was_replaced_is_another_model_under_the_same_name(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(MODELS / "motion-int8-onnx", folder)
    spec = replace(SPEC, folder=str(folder))
    before = model_key(spec)
    assert model_key(spec) == before
    file = next(folder.glob("*.onnx"))
    shutil.copy2(file, tmp_path / "new")  # same size, same time
    (tmp_path / "new").replace(file)
    assert model_key(spec) != before


def test_a_folder_that_is_not_there_has_a_key_all_the_same() -> None:
    assert model_key(replace(SPEC, folder="/nonexistent")) != model_key(SPEC)


def test_a_model_lives_until_its_last_user_leaves() -> None:
    models = SharedModels()
    with models.joined("k") as first:
        model = opened()
        assert first.keep(model)
        with models.joined("k") as second:
            assert second.get() is model
        assert model.engine.run(zeros(model))
        with models.joined("other") as other:
            assert other.get() is None
    with pytest.raises(AttributeError):
        model.engine.run(zeros(model))
    with models.joined("k") as later:
        assert later.get() is None


def test_an_interpreter_is_not_shared() -> None:
    models = SharedModels()
    model = opened("motion-int8")
    with models.joined("k") as shared:
        assert not shared.keep(model)
        assert shared.get() is None
    assert model.engine.run(zeros(model))  # still its owner's
    model.engine.close()


def test_threads_that_share_a_session_get_the_same_answers_as_one_alone() -> None:
    model = opened()
    rows = [
        {name: np.full_like(array, number) for name, array in zeros(model).items()} for number in range(64)
    ]
    alone = [model.engine.run(row) for row in rows]
    together: dict[int, list[dict[str, Array]]] = {}

    def work(which: int) -> None:
        watched = WatchedEngine(model.engine, lambda _: None)
        together[which] = [watched.run(row) for row in rows]

    threads = [threading.Thread(target=work, args=(which,)) for which in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(together) == 4
    for answers in together.values():
        for one, other in zip(alone, answers, strict=True):
            assert all(np.array_equal(one[name], other[name]) for name in one)
    model.engine.close()


class Failing:
    """An engine of which only the error matters."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def run(self, _inputs: dict[str, Array]) -> dict[str, Array]:
        raise self.error


@pytest.mark.parametrize(
    ("error", "falls"),
    [
        (RunFailed("CUDA failure 700: an illegal memory access was encountered"), True),
        (OutOfMemory("Failed to allocate memory for requested buffer of size 1073741824"), False),
        (RunFailed("Invalid rank for input: x"), False),
    ],
)
def test_only_an_error_that_lasts_is_told_and_each_is_raised(error: EngineFailed, falls: bool) -> None:
    told: list[EngineFailed] = []
    with pytest.raises(EngineFailed) as raised:
        WatchedEngine(Failing(error), told.append).run({})  # type: ignore[arg-type]
    assert raised.value is error
    assert told == ([error] if falls else [])
