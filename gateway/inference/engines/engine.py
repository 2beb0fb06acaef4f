"""The contract of a runtime: load one model file, run one batch at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from gateway.tensor import Array, TensorSpec


@dataclass(frozen=True, slots=True)
class ModelSource:
    """What a runtime is to open.

    Attributes:
        path: What it opens, such as the name of a descriptor.
        name: What messages call it.
        optimised: Whether this runtime has optimised the file before, for this machine and these options.
        external: Whether weights lie in files of their own beside it.
    """

    path: Path
    name: str
    optimised: bool = False
    external: bool = False


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How a model is to run.

    Attributes:
        threads: Threads inside one inference.
        providers: ONNX Runtime execution providers, in order.
        delegates: TFLite delegates, in order.
        derived: Folder of what was made of models to load them faster; empty for none.
        precision: What numbers it computes with (``int8``, ``fp16``, ``fp32``); empty for the file's own.
        exact: Whether the first provider must be the one that runs, or loading fails.
        gpu_memory_bytes: Most bytes of a GPU provider's arena; 0 for no bound.
        gpu_workspace_bytes: Most bytes of workspace while TensorRT builds and runs; 0 for its default.
        engine_cache: Folder of the engines that were built of this very file; empty for none.
    """

    threads: int = 1
    providers: tuple[str, ...] = ("CPUExecutionProvider",)
    delegates: tuple[str, ...] = ("xnnpack",)
    derived: str = ""
    precision: str = ""
    exact: bool = False
    gpu_memory_bytes: int = 0
    gpu_workspace_bytes: int = 0
    engine_cache: str = ""

    @classmethod
    def from_plain(cls, known: Mapping[str, Any]) -> EngineOptions:
        """Rebuild what ``dataclasses.asdict`` and JSON made (trusted input)."""
        lists = {key: tuple(known[key]) for key in ("providers", "delegates")}
        return cls(**{**known, **lists})


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What really runs, asked of the runtime after loading.

    Attributes:
        runtime: ``litert``, ``tflite-runtime`` or ``onnxruntime``.
        version: The runtime's version.
        backend: Provider or delegate that really runs (``xnnpack``, ``CPUExecutionProvider`` ...).
        threads: Threads inside one inference.
        precision: What numbers it was told to compute with; empty for the file's own.
    """

    runtime: str
    version: str
    backend: str
    threads: int
    precision: str = ""


class BatchAxis(Enum):
    """Whether axis 0 of every tensor counts rows."""

    FIXED = "fixed"
    """It has one size, in one tensor at least."""
    OPEN = "open"
    """It takes any size in each, and nothing says that it is the same in all."""
    ROWS = "rows"
    """It takes any size, the same in all."""


class Engine(Protocol):
    """One loaded model. Not thread-safe: a lane owns it.

    Attributes:
        facts: What really runs.
        inputs: Specs in the runtime's order.
        outputs: Specs in the runtime's order.
        batch_axis: What is known of axis 0.
        maps_file: True if the runtime reads the model file after loading.
    """

    @property
    def facts(self) -> EngineFacts:
        """What really runs."""
        ...

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Input specs."""
        ...

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Output specs."""
        ...

    @property
    def batch_axis(self) -> BatchAxis:
        """What is known of axis 0."""
        ...

    @property
    def maps_file(self) -> bool:
        """Whether the runtime reads the model file after loading; if not, it has a copy."""
        ...

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run once; arrays must match ``inputs`` exactly (dtype, shape).

        Returns:
            Outputs by name, owned by the caller (never views on runtime memory).

        Raises:
            RunFailed: The runtime refused or failed.
            OutOfMemory: The runtime could not allocate.
        """
        ...

    def close(self) -> None:
        """Free the model; nothing may be called after."""
        ...
