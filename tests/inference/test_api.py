"""Warming up, and inferring with a time limit."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np
import pytest

from gateway.errors import DeadlineQueued, DeadlineRunning, RunFailed, WarmupFailed
from gateway.inference.api import infer_with_timeout, warmup_model
from gateway.inference.loaded import LoadedModel, Member
from gateway.tensor import Array
from tests.inference.model_folders import answer, load, member

WINDOW = np.linspace(-5, 5, 600, dtype=np.float32).tobytes()


@pytest.fixture
def model() -> LoadedModel:
    return load("motion-int8-onnx")


def window(deadline_s: float = float("inf")) -> Member:
    media = "application/vnd.gateway.tensor"
    return member(WINDOW, deadline_s=deadline_s, media=media, dtype="float32", shape=(100, 6))


def test_warming_up_runs_as_often_as_told(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []
    run = model.engine.run

    def counted(inputs: Mapping[str, Array]) -> dict[str, Array]:
        runs.append(len(inputs))
        return run(inputs)

    monkeypatch.setattr(model.engine, "run", counted)
    took = warmup_model(model, runs=4)
    assert len(runs) == 4
    assert took.first_ms > 0
    assert took.warm_ms > 0
    assert warmup_model(model, runs=1).warm_ms > 0


def test_a_model_that_fails_cannot_be_warmed_up(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_: Mapping[str, Array]) -> dict[str, Array]:
        raise RunFailed("broken")

    monkeypatch.setattr(model.engine, "run", run)
    with pytest.raises(WarmupFailed, match="broken"):
        warmup_model(model)


def test_in_time_the_answers_are_those_of_the_model(model: LoadedModel) -> None:
    wanted = answer(model, window())[0].prediction
    assert [each.prediction for each in infer_with_timeout(model, [window(), window()], 60)] == [wanted] * 2


def test_a_member_keeps_its_own_earlier_deadline(model: LoadedModel) -> None:
    answers = infer_with_timeout(model, [window(deadline_s=0.0), window()], 60)
    assert isinstance(answers[0].error, DeadlineQueued)
    assert answers[1].error is None


def test_a_run_that_takes_too_long_is_not_waited_for(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, ended = threading.Event(), threading.Event()
    run = model.engine.run

    def slow(inputs: Mapping[str, Array]) -> dict[str, Array]:
        release.wait()
        try:
            return run(inputs)
        finally:
            ended.set()

    monkeypatch.setattr(model.engine, "run", slow)
    with pytest.raises(DeadlineRunning, match=r"no answer within 0\.02 s"):
        infer_with_timeout(model, [window()], 0.02)
    assert not ended.is_set()
    release.set()
    assert ended.wait(60)
    monkeypatch.undo()
    assert infer_with_timeout(model, [window()], 60)[0].error is None
