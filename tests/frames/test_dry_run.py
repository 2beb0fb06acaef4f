"""A made-up payload finds what compiling cannot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gateway.errors import PipelineMisfit, WrongShape
from gateway.frames.dry_run import dry_run
from gateway.frames.pipeline import Pipeline
from gateway.frames.steps import Answers
from tests.frames.made import LEVELS, compiled, facts, spec

PIPELINE = compiled(
    facts([LEVELS], [spec("out", "uint8", (1, 4))]),
    [("resize", {}), ("normalise", {"as_codes": True})],
    [("classify", {})],
)


def with_stage(stage: Callable[..., Any]) -> Pipeline:
    first, *others = PIPELINE.steps
    return replace(PIPELINE, steps=(replace(first, fitted=replace(first.fitted, stage=stage)), *others))


def raises(error: Exception) -> Callable[..., Any]:
    def stage(*_: object) -> None:
        raise error

    return stage


def test_a_step_that_refuses_or_breaks_is_named() -> None:
    for error, words in ((WrongShape("too thin"), "too thin"), (KeyError("x"), "failed with KeyError: 'x'")):
        with pytest.raises(PipelineMisfit, match=words) as caught:
            dry_run(with_stage(raises(error)))
        assert caught.value.step == "preprocess[0].resize"


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "made no row"),
        ([{"y": np.zeros((1, 8, 8, 3), np.uint8)}], "feeds"),
        ([{"pixels": np.zeros((1, 8, 8, 3), np.int8)}], r"feeds int8\[1, 8, 8, 3\]"),
        ([{"pixels": np.zeros((1, 8, 9, 3), np.uint8)}], "the model takes pixels"),
        ([{"pixels": np.zeros((1, 3, 8, 8), np.uint8).transpose(0, 2, 3, 1)}], "out of order"),
    ],
)
def test_rows_that_the_model_does_not_take_are_found(rows: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(PipelineMisfit, match=words):
        dry_run(replace(PIPELINE, rows=lambda _: rows))


@pytest.mark.parametrize("said", [{"kind": float("nan")}, {"kind": np.float32(1)}])
def test_predictions_that_json_cannot_say_are_found(said: Any) -> None:
    def finisher(_: Answers) -> Any:
        return said

    with pytest.raises(PipelineMisfit, match="what JSON cannot say") as caught:
        dry_run(replace(PIPELINE, _finisher=finisher))
    assert caught.value.step == "postprocess[0].classify"
