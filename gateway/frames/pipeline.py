"""Compiles a pipeline: binds the steps as written to one model, and runs them on payloads.

Steps are bound in order, each to the spec that the one before gives, and the
last to the model's real input; what cannot fit is refused here, with the step
named. At run time a payload passes a short list of functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from time import perf_counter
from typing import Any

from gateway.configuration.settings import StepSettings
from gateway.errors import PipelineMisfit, RunFailed
from gateway.frames.declaration import Declaration
from gateway.frames.hint import DecodeHint
from gateway.frames.intake import taken_as
from gateway.frames.limits import PayloadLimits
from gateway.frames.model_window import number_rows, sample_rows
from gateway.frames.payload import decode
from gateway.frames.pixels import picture_rows
from gateway.frames.prepared import JsonValue, Prepared, StreamState
from gateway.frames.sight import SIGHT, Sight
from gateway.frames.specs import AudioSpec, ImageSpec, ModelFacts, NumbersSpec, TensorsSpec, ValueSpec
from gateway.frames.step_options import read_options
from gateway.frames.steps import (
    Answers,
    Finisher,
    Fitted,
    Journey,
    PreStep,
    Site,
    Stage,
    step_class,
    step_path,
)
from gateway.frames.values import Image, Value
from gateway.tensor import TEXT, Array

Rows = Callable[[Any], list[dict[str, Array]]]

_IMPLIED_TENSOR = StepSettings("tensor", {})


@dataclass(frozen=True, slots=True)
class BoundStep:
    """A step before the model, in its place.

    Attributes:
        path: Path of the step, such as ``preprocess[1].resize``.
        step: The step with its options.
        fitted: What it gives and runs.
    """

    path: str
    step: PreStep
    fitted: Fitted


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A compiled pipeline; see ``CompiledPipeline``. Holds nothing between frames: streams carry their own.

    Attributes:
        model: The model that it is bound to.
        kind: What a payload must decode to.
        steps: The steps before the model.
        answer_path: Path of the step after the model.
        stateful: True if frames of one stream must run in order, one at a time.
        hint: What is needed of a picture; None if all of it is, or if payloads are no pictures.
        rows: Makes the model's rows of what the last step gives.
    """

    model: ModelFacts
    kind: type[ValueSpec]
    steps: tuple[BoundStep, ...]
    answer_path: str
    stateful: bool
    hint: DecodeHint | None
    _stages: tuple[Stage, ...]
    rows: Rows
    _finisher: Finisher
    _limits: PayloadLimits

    def prepare(self, payload: memoryview, declared: Declaration, state: StreamState) -> Prepared:
        """Decode and pre-process; may take from and leave samples in ``state``.

        The rows may be views on ``payload``.

        Raises:
            RequestRefused: The payload is at fault.
        """
        started = perf_counter()
        value = decode(payload, declared, self._limits, self.hint)
        decoded = perf_counter()
        prepared = self.prepare_value(value, state)
        prepared.timings_ms["decode"] = (decoded - started) * 1e3
        prepared.timings_ms["preprocess"] = (perf_counter() - decoded) * 1e3
        return prepared

    def prepare_value(self, value: Value, state: StreamState) -> Prepared:
        """Pre-process what is decoded already.

        Raises:
            RequestRefused: The payload is at fault.
        """
        taken: Any = taken_as(self.kind, value)
        journey = Journey(state)
        if isinstance(taken, Image):
            journey.notes[SIGHT] = Sight(taken.source_width, taken.source_height)
        for stage in self._stages:
            taken = stage(taken, journey)
        return Prepared(self.rows(taken), journey.notes)

    def finish(
        self, prepared: Prepared, outputs: list[Mapping[str, Array]], state: StreamState
    ) -> dict[str, JsonValue] | None:
        """Turn raw outputs (one mapping a row, leading axis 1) into a prediction.

        Returns:
            A JSON object as in ``docs/schemas/prediction.schema.json``; None if there were no rows.

        Raises:
            RunFailed: The outputs cannot be read (wrong shape, NaN).
        """
        if len(outputs) != len(prepared.rows):
            raise RunFailed(f"{len(prepared.rows)} rows got {len(outputs)} answers")
        if not outputs:
            return None
        return self._finisher(Answers(outputs, prepared.rows, prepared.notes, state))


def compile_pipeline(
    preprocess: Sequence[StepSettings] | None,
    postprocess: Sequence[StepSettings] | None,
    *,
    model: ModelFacts,
    limits: PayloadLimits,
) -> Pipeline:
    """Return the pipeline that these steps make of a model.

    Args:
        preprocess: Steps before the model; the card's when None; raw tensors
            are taken when empty.
        postprocess: The step after the model; the card's when None.
        model: The model as its card and the runtime describe it.
        limits: Bounds on what a payload may decode to.

    Raises:
        PipelineMisfit: A step is not known, its options are wrong, or it cannot work on this model.
    """
    before = _bind_before(model.card.preprocess if preprocess is None else preprocess, model)
    last = before[-1]
    spec, closing = last.fitted.spec, Site(last.path, model)
    site, finisher, stateful = _bind_after(
        model.card.postprocess if postprocess is None else postprocess, model, spec
    )
    return Pipeline(
        model=model,
        kind=_kind([bound.step for bound in before], model),
        steps=before,
        answer_path=site.path,
        stateful=stateful or bool(model.card.state) or any(bound.fitted.stateful for bound in before),
        hint=_hint(before, spec),
        _stages=tuple(bound.fitted.stage for bound in before if bound.fitted.stage is not None),
        rows=_closing(spec, closing),
        _finisher=finisher,
        _limits=limits,
    )


def _bind_before(written: Sequence[StepSettings], model: ModelFacts) -> tuple[BoundStep, ...]:
    if texts := [str(spec) for spec in model.data_inputs() if spec.dtype == TEXT]:
        raise PipelineMisfit(
            "preprocess", f"pipelines feed numbers, and {texts[0]} is text; applications can ask this model"
        )
    steps: list[tuple[str, PreStep]] = []
    for index, setting in enumerate(written or (_IMPLIED_TENSOR,)):
        path = step_path("pre", index, setting)
        steps.append((path, read_options(step_class("pre", setting.name, path), setting.options, path)))
    spec: ValueSpec = _kind([step for _, step in steps], model)()
    bound = []
    for path, step in steps:
        if not isinstance(spec, step.takes):
            raise PipelineMisfit(path, f"cannot take what comes in: {spec}")
        fitted = step.bind(spec, Site(path, model))
        bound.append(BoundStep(path, step, fitted))
        spec = fitted.spec
    return tuple(bound)


def _bind_after(
    written: Sequence[StepSettings], model: ModelFacts, before: ValueSpec
) -> tuple[Site, Finisher, bool]:
    if len(written) != 1:
        raise PipelineMisfit(
            "postprocess" if not written else step_path("post", 1, written[1]),
            "exactly one step reads the model's outputs; for the raw outputs write - tensors",
        )
    path = step_path("post", 0, written[0])
    cls = step_class("post", written[0].name, path)
    step = read_options(cls, written[0].options, path)
    site = Site(path, model, before)
    return site, step.bind(site), bool(step.stateful)


def _kind(steps: Sequence[PreStep], model: ModelFacts) -> type[ValueSpec]:
    """Return what the first step that takes one kind only takes: all before it take several."""
    for step in steps:
        if len(step.takes) == 1:
            return step.takes[0]
    inputs = ", ".join(str(spec) for spec in model.data_inputs())
    raise PipelineMisfit(
        "preprocess", f"does not tell what payloads are; add resize, audio_windows or window ({inputs})"
    )


def _hint(steps: Sequence[BoundStep], last: ValueSpec) -> DecodeHint | None:
    """Return what the first step that resizes needs, seen from the whole picture."""
    across = down = 1.0
    for bound in steps:
        fitted = bound.fitted
        if fitted.hint is not None and isinstance(last, ImageSpec):
            hint = replace(fitted.hint, grey=last.order == "grey")
            if (across, down) == (1.0, 1.0):
                return hint
            # A part of the picture is needed in this size: of the whole, that much more.
            width = ceil(hint.width / (across * hint.fraction) - 1e-9)
            height = ceil(hint.height / (down * hint.fraction) - 1e-9)
            return DecodeHint(width, height, grey=hint.grey)
        if fitted.kept is not None:
            across, down = across * fitted.kept[0], down * fitted.kept[1]
        elif fitted.stage is not None:
            return None
    return None


def _closing(spec: ValueSpec, site: Site) -> Rows:
    match spec:
        case ImageSpec():
            return picture_rows(spec, site)
        case AudioSpec():
            return sample_rows(spec, site)
        case NumbersSpec():
            return number_rows(spec, site)
        case TensorsSpec():
            if not spec.fitted:
                raise site.misfit("must be followed by the step tensor")
            return _as_they_are


def _as_they_are(rows: list[dict[str, Array]]) -> list[dict[str, Array]]:
    return rows
