"""Models as every door sees them: what they are, whether they serve, what they did, how to ask them. Pure.

Doors know these values and Protocols alone; the daemon supplies what stands behind them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.serving.call import InferCall, InferReply


@dataclass(frozen=True, slots=True)
class TensorView:
    """One input or output.

    Attributes:
        name: Its name.
        datatype: The protocol's name of its type.
        shape: Sizes with the batch axis; -1 for an axis of any size.
        labels: Names of its classes, for answers by class; empty where there are none.
        optional: Whether a call may leave it out (states that the gateway carries).
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    labels: tuple[str, ...] = ()
    optional: bool = False


@dataclass(frozen=True, slots=True)
class ModelView:
    """One version of a model that serves.

    Attributes:
        name: The name that was asked for.
        version: This version.
        versions: Every version that serves under the name.
        platform: The protocol's word for the runtime, such as ``onnxruntime_onnx`` or ``tensorflow_lite``.
        inputs: In the model's order.
        outputs: In the model's order.
        max_batch_rows: Most rows of one request where axis 0 of every tensor is the batch's; 0 for a model
            whose shapes are taken as they are.
        lanes: Lanes that it has now.
        properties: Further facts: digest, engine, licence, what is missing on its card.
    """

    name: str
    version: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorView, ...]
    outputs: tuple[TensorView, ...]
    max_batch_rows: int
    lanes: int
    properties: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One line of the repository's index.

    Attributes:
        name: A model or an alias.
        version: A version; empty where none is known.
        state: ``READY``, ``LOADING``, ``UNLOADING`` or ``UNAVAILABLE``.
        reason: Why it is not ready; empty if it is.
    """

    name: str
    version: str
    state: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Duration:
    """How often something took place, and how long it took in all."""

    count: int = 0
    ns: int = 0


@dataclass(frozen=True, slots=True)
class BatchStatistics:
    """Runs of one batch size: rows in a run, and what the runs took."""

    rows: int
    compute: Duration

    @property
    def around(self) -> Duration:
        """What was done before and after the runs: as often, and not measured apart from them."""
        return Duration(self.compute.count)


@dataclass(frozen=True, slots=True)
class ModelStatistics:
    """What one version did since it began to serve.

    Attributes:
        name: The model.
        version: The version.
        last_inference_ms: When it was last asked, milliseconds since 1970; 0 for never.
        inference_count: Rows that it answered.
        execution_count: Runs that this took.
        success: Requests that were answered, from arrival to answer.
        fail: Requests that were not.
        queue: Time that answered requests waited.
        compute_input: Time to bring inputs into the model's form.
        compute_infer: Time in the runtime.
        compute_output: Time to bring outputs into the answer's form.
        batches: By batch size.
    """

    name: str
    version: str
    last_inference_ms: int
    inference_count: int
    execution_count: int
    success: Duration
    fail: Duration
    queue: Duration
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration
    batches: tuple[BatchStatistics, ...]


class Models(Protocol):
    """What doors may ask without any right but to use models; everything is called in the event loop."""

    def view(self, name: str, version: str = "") -> ModelView:
        """Return what a model is.

        Raises:
            UnknownModel: Nothing has this name or version.
            NotReady: It does not serve now.
        """
        ...

    def is_ready(self, name: str, version: str = "") -> bool:
        """Return whether a model answers, or would after it was loaded on demand.

        Raises:
            UnknownModel: Nothing has this name or version.
        """
        ...

    def index(self) -> Sequence[IndexEntry]:
        """Return every model and alias that is known, in order of name."""
        ...

    def statistics(self, name: str = "", version: str = "") -> Sequence[ModelStatistics]:
        """Return what models did: one version's, one name's, or everything's.

        Raises:
            UnknownModel: Nothing has this name or version.
        """
        ...

    async def infer(self, call: InferCall) -> InferReply:
        """Answer a call.

        Raises:
            RequestRefused: The call is wrong; the message names the tensor and what is expected.
            Unavailable: The queue is full, the model is not ready, or its worker died.
            DeadlineExceeded: The deadline passed.
            EngineFailed: The model failed on it.

        Cancel-safe: what has not begun to run never runs; batch-mates are not disturbed.
        """
        ...


class Repository(Protocol):
    """What only administrators may ask; everything is called in the event loop."""

    async def load(self, name: str, parameters: Mapping[str, object]) -> None:
        """Load a model, or load it anew; return when it serves.

        Args:
            name: Its name.
            parameters: The protocol's: ``config`` and files by name.

        Raises:
            UnknownModel: No such model is known here.
            RequestRefused: The parameters ask for what is not done here.
            GatewayError: It does not load; what served before serves on.
        """
        ...

    async def unload(self, name: str) -> None:
        """Let a model finish what it holds and end its workers; it stays known.

        Raises:
            UnknownModel: No such model is known here.
        """
        ...


class Health(Protocol):
    """Whether the gateway as a whole answers."""

    def is_live(self) -> bool:
        """Return whether the process works."""
        ...

    def is_ready(self) -> bool:
        """Return whether every model that should serve does."""
        ...
