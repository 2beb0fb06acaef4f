"""What a step of a pipeline is, and the table in which steps are found by name.

A step is a frozen dataclass whose fields, declared with ``option()``, are its
options in YAML. ``bind`` is called once, when the pipeline is compiled; what it
returns runs on every payload. Distributions add steps of their own as entry
points of the group ``gateway.steps``: ``pre.NAME`` or ``post.NAME``, each
naming a step class. They are only looked for when a name is not known here.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any, ClassVar, Protocol

from gateway.configuration.settings import StepSettings
from gateway.errors import PipelineMisfit
from gateway.frames.hint import DecodeHint
from gateway.frames.prepared import JsonValue, StreamState
from gateway.frames.specs import ModelFacts, ValueSpec
from gateway.tensor import Array, TensorSpec

ENTRY_POINTS = "gateway.steps"

Prediction = dict[str, JsonValue]


@dataclass(slots=True)
class Journey:
    """What accompanies one payload through the steps. Mutable.

    Attributes:
        state: What the stream carries from frame to frame.
        notes: What post-processing needs to know of this payload.
    """

    state: StreamState
    notes: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answers:
    """What the model said to one payload.

    Attributes:
        outputs: Raw outputs by name, one mapping a row, leading axis 1; at least one row.
        rows: The inputs that they answer.
        notes: What the steps before the model noted.
        state: What the stream carries from frame to frame.
    """

    outputs: list[Mapping[str, Array]]
    rows: list[dict[str, Array]]
    notes: Mapping[str, object]
    state: StreamState


# A stage takes and gives the value type that belongs to the specs before and
# after it (Image, Audio, Numbers, Tensors, or an array of windows).
Stage = Callable[[Any, Journey], Any]
Finisher = Callable[[Answers], Prediction]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A pre-processing step bound to its place.

    Attributes:
        spec: What it gives.
        stage: What runs on each payload; None if nothing has to (the spec says it all).
        stateful: True if it carries something from frame to frame.
        hint: What it needs of a picture, if the decoder may decode it smaller.
        kept: Part of width and height that it passes on; None unless it only cuts,
            so that a later step's hint still holds.
    """

    spec: ValueSpec
    stage: Stage | None = None
    stateful: bool = False
    hint: DecodeHint | None = None
    kept: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """Where a step stands.

    Attributes:
        path: Path of the step, such as ``preprocess[1].resize``.
        model: The model that the pipeline is bound to.
        before: The last spec before the model; None while that is being found.
    """

    path: str
    model: ModelFacts
    before: ValueSpec | None = None

    def misfit(self, message: str) -> PipelineMisfit:
        """Return the error that names this step."""
        return PipelineMisfit(self.path, message)

    def target(self) -> TensorSpec:
        """Return the one input that payloads feed.

        Raises:
            PipelineMisfit: The model has several.
        """
        inputs = self.model.data_inputs()
        if len(inputs) != 1:
            names = ", ".join(spec.name for spec in inputs) or "none"
            raise self.misfit(f"needs a model with one data input, this one has {len(inputs)} ({names})")
        return inputs[0]


class PreStep(Protocol):
    """A step before the model.

    Attributes:
        takes: Kinds of values that it takes.
    """

    takes: ClassVar[tuple[type[ValueSpec], ...]]

    def bind(self, spec: Any, site: Site) -> Fitted:
        """Bind the step to what comes in (one of ``takes``).

        Raises:
            PipelineMisfit: It cannot work here.
        """
        ...


class PostStep(Protocol):
    """The step after the model: reads its outputs into a prediction.

    Attributes:
        stateful: True if it carries something from frame to frame.
    """

    stateful: ClassVar[bool]

    def bind(self, site: Site) -> Finisher:
        """Bind the step to the model's outputs.

        Raises:
            PipelineMisfit: It cannot work here.
        """
        ...


# Modules are named, not imported: a worker loads the steps that it runs.
_PRE = {
    "crop": "gateway.frames.preprocess_image:Crop",
    "resize": "gateway.frames.preprocess_image:Resize",
    "colour": "gateway.frames.preprocess_image:Colour",
    "normalise": "gateway.frames.normalise:Normalise",
    "audio_windows": "gateway.frames.preprocess_audio:AudioWindows",
    "select": "gateway.frames.preprocess_numbers:Select",
    "window": "gateway.frames.preprocess_numbers:Window",
    "tensor": "gateway.frames.preprocess_tensor:TensorInput",
}
_POST = {
    "classify": "gateway.frames.classify:Classify",
    "detect_anchors": "gateway.frames.detect_anchors:DetectAnchors",
    "detect_yolo": "gateway.frames.detect_yolo:DetectYolo",
    "detect_listed": "gateway.frames.detect_listed:DetectListed",
    "voice": "gateway.frames.voice:Voice",
    "regress": "gateway.frames.regress:Regress",
    "anomaly": "gateway.frames.anomaly:Anomaly",
    "tensors": "gateway.frames.tensors_out:TensorsOut",
}
_TABLES = {"pre": _PRE, "post": _POST}


def step_class(role: str, name: str, path: str) -> type[Any]:
    """Return the class of a step: one of our own, or one that a distribution registered.

    Args:
        role: ``pre`` or ``post``.
        name: The step's name.
        path: The step's path, for the error.

    Raises:
        PipelineMisfit: No step has this name, or the distribution's module cannot be imported.
    """
    table = _TABLES[role]
    if name in table:
        return _load(table[name])
    registered = _registered()
    target = registered.get(f"{role}.{name}")
    if target is not None:
        try:
            return _load(target)
        except (ImportError, AttributeError) as error:
            raise PipelineMisfit(path, f"the registered step {target} cannot be loaded: {error}") from error
    other = "post" if role == "pre" else "pre"
    if name in _TABLES[other] or f"{other}.{name}" in registered:
        raise PipelineMisfit(path, f"{name} belongs under {other}process")
    raise PipelineMisfit(path, f"there is no step {name[:60]!r}{nearest(name, own_steps(role))}")


def own_steps(role: str) -> tuple[str, ...]:
    """Return the names of the steps that ship with the gateway; ``role`` is ``pre`` or ``post``."""
    return tuple(_TABLES[role])


def nearest(word: str, known: tuple[str, ...]) -> str:
    """Return words that name the nearest known one, or all of them."""
    close = difflib.get_close_matches(word, known, 1)
    return f"; did you mean {close[0]}?" if close else f"; known: {', '.join(known) or 'none'}"


def step_path(role: str, index: int, step: StepSettings) -> str:
    """Return the path of a step for messages, such as ``preprocess[1].resize``."""
    return f"{role}process[{index}].{step.name[:60]}"


def _load(target: str) -> type[Any]:
    module, _, name = target.partition(":")
    found: type[Any] = getattr(import_module(module), name)
    return found


@cache
def _registered() -> dict[str, str]:
    from importlib.metadata import entry_points  # slow: reads every distribution's metadata

    return {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}
