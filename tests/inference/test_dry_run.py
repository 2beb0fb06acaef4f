"""Made-up payloads through every shipped pipeline, and through steps that only the model can refute."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from gateway.errors import EngineFailed, PipelineMisfit, RunFailed
from gateway.inference.dry_run import dry_run
from gateway.tensor import Array
from tests.inference.model_folders import MODELS, load

SHIPPED = sorted(path.parent.name for path in MODELS.glob("*/card.yaml"))


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_pipeline_gets_rows_through_its_model(name: str) -> None:
    assert dry_run(load(name), "main") >= 1


def test_outputs_that_cannot_be_read_are_the_fault_of_the_step_that_reads_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = load("motion-int8-onnx")
    run = model.engine.run

    def narrower(inputs: Mapping[str, Array]) -> dict[str, Array]:
        return {name: array[:, :2] for name, array in run(inputs).items()}

    monkeypatch.setattr(model.engine, "run", narrower)
    with pytest.raises(PipelineMisfit) as caught:
        dry_run(model, "main")
    assert caught.value.step == "pipelines.main.postprocess[0].classify"
    assert "dry run" in caught.value.reason


def test_a_model_that_fails_is_not_blamed_on_the_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    model = load("motion-int8-onnx")

    def run(_: Mapping[str, Array]) -> dict[str, Array]:
        raise RunFailed("broken")

    monkeypatch.setattr(model.engine, "run", run)
    with pytest.raises(EngineFailed, match="broken"):
        dry_run(model, "main")
