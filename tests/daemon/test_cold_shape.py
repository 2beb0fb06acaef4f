"""What a model that is not loaded says of itself: the same as once it is."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.configuration.settings import ModelSettings, ScalingSettings, Settings
from gateway.daemon.cold_shape import ColdShapes
from gateway.errors import NotReady
from gateway.serving.inferring import Inferring
from gateway.serving.model_config import model_config
from gateway.serving.model_view import ModelView, TensorView
from tests.daemon.declared_world import World, lived, world
from tests.inference.bench_of_lanes import ROOT

MODELS = ("motion-int8-onnx", "motion-int8", "silero-vad", "blazeface-short-range")


def cold_settings(folder: str, rows: int = 6) -> Settings:
    kept = ModelSettings(folder, load="on_demand", max_batch_rows=rows)
    return Settings(models={"cold": kept}, scaling=ScalingSettings(enabled=False))


def models_of(made: World) -> Inferring:
    cold = ColdShapes(lambda name: made.catalog.folder_of(name, made.settings), lambda: made.settings)
    return Inferring(made.dataplane, made.resolver, lambda _name, _version: (), cold.of)


def told(view: ModelView, shapes_of: ModelView) -> tuple[Any, ...]:
    """Return what a client reads of a model, with another view's sizes where it leaves them open."""
    inputs = tuple(map(_sized, view.inputs, shapes_of.inputs))
    outputs = tuple(map(_sized, view.outputs, shapes_of.outputs))
    sized = replace(view, inputs=inputs, outputs=outputs, lanes=1, properties={})
    return len(view.inputs), len(view.outputs), sized, model_config(sized)


def _sized(tensor: TensorView, by: TensorView) -> TensorView:
    """Return a tensor with another's sizes: a card may fix what a file leaves open, and never the reverse."""
    sizes = tuple(other if size == -1 else size for size, other in zip(tensor.shape, by.shape, strict=True))
    return replace(tensor, shape=sizes)


@pytest.mark.parametrize("model", MODELS)
def test_a_cold_model_says_what_it_says_once_it_is_loaded(tmp_path: Path, model: str) -> None:
    async def test() -> None:
        async with world(tmp_path, cold_settings(str(ROOT / "models" / model))) as made:
            models = models_of(made)
            cold = models.view("cold")
            assert cold.lanes == 0
            target = made.resolver.resolve("cold", "", "k")
            await made.resolver.ready(target, time.monotonic() + 60.0)
            assert models.view("cold").lanes == 1
            assert told(cold, cold) == told(models.view("cold"), cold)

    lived(test)


@pytest.mark.parametrize("rows", [1, 6, 64])
def test_a_cold_model_that_stacks_takes_as_many_rows_as_are_configured(tmp_path: Path, rows: int) -> None:
    async def test() -> None:
        folder = str(ROOT / "models" / "motion-int8-onnx")
        async with world(tmp_path, cold_settings(folder, rows)) as made:
            assert models_of(made).view("cold").max_batch_rows == rows

    lived(test)


def test_a_cold_model_without_a_readable_card_says_so(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    settings = cold_settings(str(tmp_path / "empty"))
    with pytest.raises(NotReady, match="cold is not loaded, and"):
        ColdShapes(lambda name: settings.models[name].path, lambda: settings).of("cold")
