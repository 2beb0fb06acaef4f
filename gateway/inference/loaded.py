"""A model loaded here: card, engine and compiled pipelines, and running batches on them.

Lives in a worker (or in the process that proves a model). What a worker needs to
know crosses to it as the JSON of a ``LoadSpec``; the front end imports this module
for that alone, so runtimes and steps are imported only when a model is loaded.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from gateway.configuration.settings import StepSettings
from gateway.errors import (
    DeadlineQueued,
    DeadlineRunning,
    EngineFailed,
    GatewayBug,
    GatewayError,
    OutOfMemory,
    PipelineMisfit,
    RunFailed,
    UnknownModel,
    WarmupFailed,
)
from gateway.frames.declaration import Declaration
from gateway.frames.limits import PayloadLimits
from gateway.frames.prepared import JsonValue, Prepared, StreamState
from gateway.inference.engines.engine import EngineOptions
from gateway.inference.model_shape import ModelShape
from gateway.inference.rows import Job, RowRunner
from gateway.inference.tensor_call import TensorLayout
from gateway.model import ModelVersion
from gateway.tensor import Array

if TYPE_CHECKING:
    from gateway.frames.pipeline import Pipeline  # codecs and steps: not for the front end
    from gateway.inference.opening import OpenedModel

_WARM_UP_RUNS = 2
_MOST_TRIED_S = 0.5


@dataclass(frozen=True, slots=True)
class PipelineSpec:
    """A pipeline as a worker sees it.

    Attributes:
        name: Name under ``pipelines:`` in the configuration.
        preprocess: Steps before the model; None for those of the model's card.
        postprocess: Steps after the model; None for those of the model's card.
    """

    name: str
    preprocess: tuple[StepSettings, ...] | None = None
    postprocess: tuple[StepSettings, ...] | None = None


@dataclass(frozen=True, slots=True)
class LoadSpec:
    """Everything that is needed to load a model.

    Attributes:
        name: Name under ``models:`` in the configuration.
        folder: Folder with the card.
        engine: Name of a runtime, or ``auto``.
        options: How the model is to run.
        pipelines: Pipelines that run on it.
        limits: Bounds on what payloads may decode to.
        file: A twin's file to load in place of the card's own; empty for the latter.
    """

    name: str
    folder: str
    engine: str = "auto"
    options: EngineOptions = field(default_factory=EngineOptions)
    pipelines: tuple[PipelineSpec, ...] = ()
    limits: PayloadLimits = field(default_factory=PayloadLimits)
    file: str = ""

    def to_json(self) -> str:
        """Return JSON that ``from_json`` reads."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> LoadSpec:
        """Rebuild what ``to_json`` made (trusted input)."""
        known = json.loads(text)
        return cls(
            known["name"],
            known["folder"],
            known["engine"],
            EngineOptions.from_plain(known["options"]),
            tuple(
                PipelineSpec(entry["name"], _steps(entry["preprocess"]), _steps(entry["postprocess"]))
                for entry in known["pipelines"]
            ),
            PayloadLimits(**known["limits"]),
            known["file"],
        )


@dataclass(frozen=True, slots=True)
class Member:
    """One request of a batch.

    Attributes:
        pipeline: Name of the pipeline.
        payload: Bytes as sent, valid while the batch runs.
        declared: What is declared about them; how they lie, for tensors that need no pipeline.
        state: What the stream carried so far; empty at first.
        deadline_s: Absolute monotonic seconds.
    """

    pipeline: str
    payload: memoryview
    declared: Declaration | TensorLayout
    state: bytes
    deadline_s: float


@dataclass(slots=True)
class Answer:
    """What became of one member.

    Attributes:
        prediction: The answer; None with an error, or when there is nothing to say yet.
        state: What the stream carries on; what it brought, if it failed.
        error: Why it failed.
        timings_ms: Milliseconds by stage: decode, preprocess, infer, postprocess.
        rows: Model runs that it made.
        tensors: The model's outputs, for a request without a pipeline.
    """

    prediction: dict[str, JsonValue] | None
    state: bytes
    error: GatewayError | None
    timings_ms: dict[str, float]
    rows: int
    tensors: Mapping[str, Array] = field(default_factory=dict)


class LoadedModel:
    """One model version, ready to run. Not thread-safe: a lane owns it.

    Attributes:
        folder: The card and its labels.
        engine: The loaded file.
        source: The mapped bytes of the file: hashed, and the ones that were loaded.
        weights: Files of weights beside it, mapped likewise.
        version: Named in every result.
    """

    def __init__(self, spec: LoadSpec, opened: OpenedModel) -> None:
        self.folder = opened.folder
        self.engine = opened.engine
        self.source = opened.source
        self.weights = opened.weights
        facts = opened.engine.facts
        words = " ".join(filter(None, (facts.runtime, facts.version, facts.backend, facts.precision)))
        card = opened.folder.card
        self.version = ModelVersion(spec.name, card.version, f"sha256:{card.sha256}", words)
        self._limits = spec.limits
        self._rows = RowRunner(opened.engine, card)
        self._pipelines: dict[str, Pipeline] = {}

    @classmethod
    def load(cls, spec: LoadSpec, enter: Callable[[str], None] | None = None) -> LoadedModel:
        """Read the card, check the file against it, load it, compile the pipelines.

        Args:
            enter: Told the stage that begins: ``structure``, ``load``.

        Raises:
            LoadFailed: The card or the file cannot be read or loaded.
            CardMismatch: The file is not what the card says.
            PipelineMisfit: A pipeline cannot work on this model.
            OutOfMemory: The runtime could not allocate.
        """
        from gateway.inference.opening import open_folder

        opened = open_folder((spec.name, spec.folder, spec.file), spec.engine, spec.options, enter or _silent)
        model = cls(spec, opened)
        model.set_pipelines(spec.pipelines)
        give_back()
        return model

    def close(self) -> None:
        """Free the model and its mappings; nothing may be called after."""
        self.engine.close()
        for file in (self.source, *self.weights):
            file.close()

    @property
    def max_rows(self) -> int | None:
        """Rows that one engine run takes; None for any number. Of some models known when they are warm."""
        return None if self._rows.stacks else 1

    @property
    def shape(self) -> ModelShape:
        """What requests without a pipeline may bring and get."""
        card = self.folder.card
        return ModelShape(
            tuple(spec for spec in self.engine.inputs if spec.name not in card.constants),
            tuple(self.engine.outputs),
            frozenset(state.input for state in card.state),
            self._rows.stacks,
            self.folder.labels,
        )

    @property
    def stateful(self) -> frozenset[str]:
        """Names of pipelines whose frames must run in order, one of a stream at a time."""
        return frozenset(name for name, each in self._pipelines.items() if each.stateful)

    @property
    def kinds(self) -> dict[str, str]:
        """What each pipeline's payloads must decode to: ``images``, ``sound``, ``numbers`` or ``tensors``."""
        from gateway.frames.specs import KIND_NAMES

        return {name: KIND_NAMES[each.kind] for name, each in self._pipelines.items()}

    def pipeline(self, name: str) -> Pipeline:
        """Return a compiled pipeline.

        Raises:
            UnknownModel: There is none of this name.
        """
        try:
            return self._pipelines[name]
        except KeyError:
            raise UnknownModel(f"model {self.version.name} has no pipeline {name}") from None

    def set_pipelines(self, pipelines: Sequence[PipelineSpec]) -> None:
        """Compile other pipelines and take them all at once; an error leaves the old ones.

        Raises:
            PipelineMisfit: One cannot work on this model.
        """
        from gateway.frames.pipeline import compile_pipeline
        from gateway.frames.specs import ModelFacts

        facts = ModelFacts(self.folder.card, self.folder.labels, self.engine.inputs, self.engine.outputs)
        compiled: dict[str, Pipeline] = {}
        for spec in pipelines:
            try:
                compiled[spec.name] = compile_pipeline(
                    spec.preprocess, spec.postprocess, model=facts, limits=self._limits
                )
            except PipelineMisfit as error:
                raise error.within(f"pipelines.{spec.name}") from error
        self._pipelines = compiled

    def warm_up(self, runs: int = _WARM_UP_RUNS) -> Mapping[str, Array]:
        """Run the model on zeros until its first-run costs are paid; return the last outputs.

        Where its file does not tell whether its rows may run together, that is found out too, unless one
        takes so long that it would gain nothing.

        Raises:
            WarmupFailed: A run failed.
        """
        try:
            for _ in range(runs - 1):
                self.run_zeros()
            began_s = time.thread_time()  # however busy the board is, lanes come to one answer
            outputs = self.run_zeros()
        except EngineFailed as error:
            message = f"model {self.version.name}: {error.message}"
            raise WarmupFailed(message, model=self.version.name) from error
        self._rows.settle(is_quick=time.thread_time() - began_s < _MOST_TRIED_S)
        return outputs

    def run_zeros(self) -> Mapping[str, Array]:
        """Run one row of zeros; return its raw outputs.

        Raises:
            EngineFailed: The runtime failed.
        """
        return self.run_rows([self._rows.zeros()])[0]

    def run_rows(self, rows: Sequence[dict[str, Array]]) -> list[Mapping[str, Array]]:
        """Run prepared rows outside any stream; return raw outputs, one mapping a row.

        Raises:
            EngineFailed: The runtime failed.
        """
        job = Job(Prepared(list(rows)), StreamState(), float("inf"))
        self._rows.run([job], _stopped)
        if job.error is not None:
            raise job.error
        return job.outputs

    def run_batch(self, members: Sequence[Member], now: Callable[[], float]) -> list[Answer]:
        """Answer every member, in order; a member's error is its own.

        Args:
            members: Payloads are read until this returns, not after.
            now: Monotonic seconds; also times the stages.
        """
        answers = [self._prepare(member, now) for member in members]
        self._rows.run([each for each in answers if isinstance(each, Job)], now)
        return [
            each if isinstance(each, Answer) else self._finish(member, each, now)
            for member, each in zip(members, answers, strict=True)
        ]

    def _prepare(self, member: Member, now: Callable[[], float]) -> Job | Answer:
        if now() >= member.deadline_s:
            return _failed(member, DeadlineQueued("the deadline passed before the batch ran"))
        try:
            state = StreamState.from_bytes(member.state)
            if isinstance(member.declared, TensorLayout):
                prepared = member.declared.prepare(member.payload)
            else:
                prepared = self.pipeline(member.pipeline).prepare(member.payload, member.declared, state)
        except (GatewayError, MemoryError) as error:
            return _failed(member, _own(error))
        except Exception as error:  # noqa: BLE001 - steps may be anybody's: one payload's bug stays its own
            return _failed(member, _bug("prepare", error))
        if now() >= member.deadline_s:
            return _failed(
                member, DeadlineRunning("the deadline passed during decoding"), prepared.timings_ms
            )
        return Job(prepared, state, member.deadline_s)

    def _finish(self, member: Member, job: Job, now: Callable[[], float]) -> Answer:
        timings_ms = job.prepared.timings_ms
        timings_ms["infer"] = job.infer_s * 1e3
        if job.error is not None:
            return _failed(member, job.error, timings_ms)
        if isinstance(member.declared, TensorLayout):
            return _gathered(member, member.declared, job, timings_ms)
        started_s = now()
        try:
            prediction = self.pipeline(member.pipeline).finish(job.prepared, job.outputs, job.state)
            state = job.state.to_bytes()
        except (GatewayError, MemoryError) as error:
            return _failed(member, _own(error), timings_ms)
        except Exception as error:  # noqa: BLE001 - as in _prepare
            return _failed(member, _bug("finish", error), timings_ms)
        timings_ms["postprocess"] = (now() - started_s) * 1e3
        return Answer(prediction, state, None, timings_ms, len(job.prepared.rows))


def _steps(entries: Any) -> tuple[StepSettings, ...] | None:
    return None if entries is None else tuple(StepSettings(each["name"], each["options"]) for each in entries)


def _gathered(member: Member, layout: TensorLayout, job: Job, timings_ms: dict[str, float]) -> Answer:
    try:
        tensors = layout.gather(job.outputs)
        return Answer(None, job.state.to_bytes(), None, timings_ms, len(job.outputs), tensors)
    except MemoryError as error:
        return _failed(member, _own(error), timings_ms)
    except (KeyError, ValueError) as error:
        return _failed(member, RunFailed(f"the model's outputs are not as asked for: {error}"), timings_ms)


def _failed(member: Member, error: GatewayError, timings_ms: dict[str, float] | None = None) -> Answer:
    return Answer(None, member.state, error, timings_ms or {}, 0)


def _own(error: Exception) -> GatewayError:
    return error if isinstance(error, GatewayError) else OutOfMemory("no memory for this payload")


def _bug(stage: str, error: Exception) -> GatewayError:
    return GatewayBug(f"{stage}: {type(error).__name__}: {str(error)[:300]}")


def give_back() -> None:
    """Return to the system what loading used and freed: with ONNX Runtime 7 MB for a model of 5."""
    import ctypes

    with contextlib.suppress(AttributeError, OSError):  # musl and others have no such call
        ctypes.CDLL(None).malloc_trim(0)


def _silent(_stage: str) -> None:
    pass


def _stopped() -> float:
    return 0.0
