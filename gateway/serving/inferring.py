"""The one service behind every door: finds the model, checks the call, runs it, shapes the reply."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, TypeVar
from weakref import WeakKeyDictionary

from gateway.errors import NotReady
from gateway.inference.dataplane import DataPlane
from gateway.inference.flight import WorkerFacts
from gateway.inference.model_shape import ModelShape
from gateway.inference.scheduler import Scheduler
from gateway.model import ModelCard
from gateway.operations.tracing import current_span
from gateway.serving.call import InferCall, InferReply
from gateway.serving.model_view import IndexEntry, ModelStatistics, ModelView, TensorView
from gateway.serving.tensor_reply import labels_for, outputs_of
from gateway.serving.tensor_request import Plans, tensor_request
from gateway.tensor import TensorSpec, protocol_name

# The protocol's words for runtimes.
_PLATFORMS: Final = {
    "onnxruntime": "onnxruntime_onnx",
    "litert": "tensorflow_lite",
    "tflite-runtime": "tensorflow_lite",
}
_PLATFORM_OF_FORMAT: Final = {"onnx": "onnxruntime_onnx", "tflite": "tensorflow_lite"}


class Target(Protocol):
    """Where a name leads.

    Attributes:
        model: The model.
        version: Its version; empty for the one that serves.
        scheduler: Its lanes; None where it must be loaded first.
    """

    @property
    def model(self) -> str:
        """The model."""
        ...

    @property
    def version(self) -> str:
        """Its version; empty for the one that serves."""
        ...

    @property
    def scheduler(self) -> Scheduler | None:
        """Its lanes; None where it must be loaded first."""
        ...


Where = TypeVar("Where", bound=Target)


class Resolver(Protocol[Where]):
    """Who knows models, versions and aliases."""

    def resolve(self, name: str, version: str, key: str) -> Where:
        """Return where a name leads for whoever has this key.

        Raises:
            UnknownModel: Nothing has this name or version.
            NotReady: It does not serve now, and nobody may load it.
        """
        ...

    async def ready(self, target: Where, deadline_s: float, /) -> Where:
        """Return the same target with lanes, after loading it if need be.

        Raises:
            DeadlineExceeded: It took too long; the load goes on.
            GatewayError: It cannot be loaded.

        Cancel-safe: others who wait for the same load are not disturbed.
        """
        ...

    def index(self) -> Sequence[IndexEntry]:
        """Return every model and alias that is known."""
        ...

    def versions(self, name: str) -> Sequence[str]:
        """Return the versions that serve under a name."""
        ...


@dataclass(frozen=True, slots=True)
class ColdModel:
    """What is known of a model that is not loaded.

    Attributes:
        card: Its card.
        shape: What it takes and gives, by its card.
        max_rows: Most rows of one request, if it takes any number of them.
    """

    card: ModelCard
    shape: ModelShape
    max_rows: int


# Returns what is known of a model that is not loaded.
ColdModelOf = Callable[[str], ColdModel]
CountsOf = Callable[[str, str], Sequence[ModelStatistics]]
FactsOf = Callable[[str], Mapping[str, str]]


def _no_facts(_model: str) -> Mapping[str, str]:
    return {}


class Inferring:
    """``Models`` over the data plane; see there."""

    def __init__(
        self,
        dataplane: DataPlane,
        resolver: Resolver[Any],
        counts_of: CountsOf,
        cold_model_of: ColdModelOf,
        facts_of: FactsOf = _no_facts,
    ) -> None:
        """Put the parts together.

        Args:
            dataplane: Where requests go.
            resolver: Where names lead.
            counts_of: What versions did, by name and version; empty strings for all.
            cold_model_of: What is known of models that are not loaded.
            facts_of: What else is known of a model, for its view.
        """
        self._dataplane = dataplane
        self._resolver = resolver
        self._counts_of = counts_of
        self._cold_model_of = cold_model_of
        self._facts_of = facts_of
        self._plans: WeakKeyDictionary[Scheduler, tuple[ModelShape, int, Plans]] = WeakKeyDictionary()

    def view(self, name: str, version: str = "") -> ModelView:
        """Return what a model is; see ``Models``."""
        target: Target = self._resolver.resolve(name, version, "")
        if target.scheduler is None:
            return self._cold_view(name, target)
        facts = _facts(target.scheduler)
        shape = facts.shape
        return ModelView(
            name=name,
            version=_version(target, facts),
            versions=tuple(self._resolver.versions(name)),
            platform=_PLATFORMS.get(facts.version.engine.partition(" ")[0], "unknown"),
            inputs=_inputs(shape),
            outputs=_outputs(shape),
            max_batch_rows=target.scheduler.limits.max_rows if shape.stacks else 0,
            lanes=target.scheduler.pool.wanted,
            properties={
                "engine": facts.version.engine,
                "digest": facts.version.digest,
                "card_version": facts.version.version,
                **self._facts_of(target.model),
            },
        )

    def _cold_view(self, name: str, target: Target) -> ModelView:
        known = self._cold_model_of(target.model)
        card, shape = known.card, known.shape
        version = target.version or card.version
        return ModelView(
            name=name,
            version=version,
            versions=(version,),
            platform=_PLATFORM_OF_FORMAT[card.format],
            inputs=_inputs(shape),
            outputs=_outputs(shape),
            max_batch_rows=known.max_rows if shape.stacks else 0,
            lanes=0,
            properties={"card_version": card.version, "state": "not loaded; its first request loads it"},
        )

    def is_ready(self, name: str, version: str = "") -> bool:
        """Return whether a model answers, or would after a load; see ``Models``."""
        try:
            target: Target = self._resolver.resolve(name, version, "")
        except NotReady:
            return False
        return target.scheduler is None or bool(target.scheduler.pool.ready)

    def index(self) -> Sequence[IndexEntry]:
        """Return every model and alias that is known."""
        return self._resolver.index()

    def statistics(self, name: str = "", version: str = "") -> Sequence[ModelStatistics]:
        """Return what models did; see ``Models``."""
        if name:
            self.is_ready(name, version)  # raises what is to be raised of a name that nothing has
        return self._counts_of(name, version)

    async def infer(self, call: InferCall) -> InferReply:
        """Answer a call; see ``Models``."""
        if call.trace and (span := current_span()) is not None:
            span.model = call.model
        target: Target = self._resolver.resolve(call.model, call.version, _key(call))
        if target.scheduler is None:
            target = await self._resolver.ready(target, call.deadline_s)
        scheduler = target.scheduler
        assert scheduler is not None, "a ready target has lanes"
        facts = _facts(scheduler)
        request = tensor_request(
            call, target.model, facts.shape, scheduler.limits.max_rows, self._plans_of(scheduler, facts)
        )
        outcome = await self._dataplane.infer(request, scheduler)
        return InferReply(
            call.model,
            _version(target, facts),
            call.id,
            outputs_of(call, outcome.tensors, facts.shape),
        )

    def _plans_of(self, scheduler: Scheduler, facts: WorkerFacts) -> Plans:
        """Return what was found of a model's calls, as long as it takes the same."""
        shape, max_rows = facts.shape, scheduler.limits.max_rows
        kept = self._plans.get(scheduler)
        if kept is None or kept[0] is not shape or kept[1] != max_rows:
            kept = self._plans[scheduler] = (shape, max_rows, {})
        return kept[2]


def _key(call: InferCall) -> str:
    """Return by what an alias tells callers apart: a sequence keeps to one model, and so does a caller."""
    return f"{call.caller}/{call.sequence.id}" if call.sequence is not None else call.caller


def _facts(scheduler: Scheduler) -> WorkerFacts:
    if scheduler.facts is None:
        raise NotReady(f"model {scheduler.name} is being loaded", model=scheduler.name)
    return scheduler.facts


def _version(target: Target, facts: WorkerFacts) -> str:
    return target.version or facts.version.version


def _inputs(shape: ModelShape) -> tuple[TensorView, ...]:
    views = [_tensor(spec, optional=spec.name in shape.carried) for spec in shape.inputs]
    # Where an input is rows and nothing else, an axis of 1 is what is left of it beside the batch: so
    # Triton has it, and clients that take the batch off need it. Calls may leave it out.
    return tuple(
        replace(each, shape=(-1, 1)) if shape.stacks and each.shape == (-1,) else each for each in views
    )


def _outputs(shape: ModelShape) -> tuple[TensorView, ...]:
    return tuple(_tensor(spec, labels=labels_for(spec.name, shape)) for spec in shape.outputs)


def _tensor(spec: TensorSpec, *, labels: tuple[str, ...] = (), optional: bool = False) -> TensorView:
    shape = tuple(-1 if size is None else size for size in spec.shape)
    return TensorView(spec.name, protocol_name(spec.dtype), shape, labels, optional)
