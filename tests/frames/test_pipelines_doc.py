"""The page about pipelines: its examples run, its reference is what the code says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from jsonschema import Draft202012Validator

from gateway.configuration.settings import StepSettings
from gateway.errors import PipelineMisfit
from gateway.frames.dry_run import dry_run
from gateway.frames.limits import PayloadLimits
from gateway.frames.pipeline import Pipeline, compile_pipeline
from gateway.frames.prepared import StreamState
from gateway.frames.step_options import read_options
from gateway.frames.step_reference import step_reference, with_reference
from gateway.frames.steps import Journey, Site, own_steps
from tests.frames.made import LEVELS, compiled, facts, picture, spec

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "pipelines.md").read_text(encoding="utf-8")
VALIDATOR = Draft202012Validator(
    json.loads((DOCS / "schemas/prediction.schema.json").read_text(encoding="utf-8"))
)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


EXAMPLES: list[dict[str, Any]] = [yaml.safe_load(block) for block in blocks("yaml")]


def steps_of(written: list[Any]) -> Iterator[StepSettings]:
    for step in written:
        ((name, options),) = step.items() if isinstance(step, dict) else ((step, {}),)
        yield StepSettings(name, options)


def pipeline_of(example: dict[str, Any]) -> Pipeline:
    tensors = [
        [
            spec(
                one["name"],
                one["dtype"],
                tuple(None if size < 0 else size for size in one["shape"]),
                one.get("scale", 0),
                one.get("zero_point", 0),
            )
            for one in example[side]
        ]
        for side in ("inputs", "outputs")
    ]
    model = facts(tensors[0], tensors[1], axes=example["inputs"][0].get("axes", ""))
    return compile_pipeline(
        list(steps_of(example["preprocess"])),
        list(steps_of(example["postprocess"])),
        model=model,
        limits=PayloadLimits(),
    )


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_fits_its_model_and_says_what_the_schema_promises(example: dict[str, Any]) -> None:
    pipeline = pipeline_of(example)
    prepared = dry_run(pipeline)
    zeros = {one.name: _zeros(one.shape, one.dtype) for one in pipeline.model.outputs}
    prediction = pipeline.finish(prepared, [zeros] * len(prepared.rows), StreamState())
    VALIDATOR.validate(prediction)


def _zeros(shape: tuple[int | None, ...], dtype: str) -> Any:
    return np.zeros([size or 1 for size in shape], dtype)


def test_every_step_has_an_example() -> None:
    shown = {
        step.name
        for one in EXAMPLES
        for side in ("preprocess", "postprocess")
        for step in steps_of(one[side])
    }
    assert shown == {*own_steps("pre"), *own_steps("post")}


@pytest.mark.parametrize("text", blocks("json"))
def test_every_prediction_shown_is_valid(text: str) -> None:
    VALIDATOR.validate(json.loads(text))


def test_the_first_example_costs_nothing_as_the_page_says() -> None:
    image = picture(224, 224)
    pipeline = compiled(
        pipeline_of(EXAMPLES[0]).model, [("resize", {}), ("normalise", {"mean": 127, "std": 128})]
    )
    assert np.shares_memory(image.pixels, pipeline.prepare_value(image, StreamState()).rows[0]["image"])


def test_the_errors_shown_are_what_is_said() -> None:
    shown = " ".join(next(block for block in blocks("") if "add the step normalise" in block).split())
    model = facts([spec("input", "uint8", (1, 224, 224, 3), 0.0078125, 127)], [spec("out", "uint8", (1, 9))])
    good = [("resize", {}), ("normalise", {"as_codes": True})]
    for pre, post in (
        ([("resize", {})], [("classify", {})]),
        (good, [("classify", {"top_k": 0})]),
        ([good[0], ("normalize", {})], [("classify", {})]),
    ):
        with pytest.raises(PipelineMisfit) as caught:
            compiled(model, pre, post)
        assert str(caught.value.within("pipelines.porch")) in shown


def test_the_step_of_ones_own_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source,) = blocks("python")
    (tmp_path / "own_steps.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    step = read_options(import_module("own_steps").Darken, {"stops": 2}, "p")
    model = facts([LEVELS], [spec("out", "uint8", (1, 4))])
    first = compiled(model, [("resize", {}), ("normalise", {"as_codes": True})]).steps[0].fitted.spec
    fitted = step.bind(first, Site("p", model))
    image = picture(8, 8)
    np.testing.assert_array_equal(image.pixels // 4, fitted.stage(image, Journey(StreamState())).pixels)


def test_the_reference_is_up_to_date() -> None:
    assert with_reference(PAGE) == PAGE, "run scripts/make-pipelines"
    assert step_reference() in PAGE
    with pytest.raises(ValueError, match="needs the lines"):
        with_reference("no marks")
