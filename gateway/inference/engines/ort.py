"""ONNX Runtime: the runtime of .onnx files (package ``onnxruntime``)."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.errors import EngineFailed, LoadFailed, OutOfMemory, RunFailed
from gateway.inference.engines.board_facts import processor
from gateway.inference.engines.engine import BatchAxis, Engine, EngineFacts, EngineOptions, ModelSource
from gateway.inference.engines.plugins import CPU
from gateway.inference.engines.precision import overflows
from gateway.inference.engines.providers import (
    ENVIRONMENT,
    MOST_REFUSALS,
    provider_pairs,
    session_entries,
    without_refused,
)
from gateway.inference.engines.sticky import sticky_cause
from gateway.tensor import TEXT, Array, TensorSpec

NAME = "onnxruntime"
DISTRIBUTION = "onnxruntime"

_DTYPES = {
    "tensor(bool)": "bool",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(uint16)": "uint16",
    "tensor(int16)": "int16",
    "tensor(uint32)": "uint32",
    "tensor(int32)": "int32",
    "tensor(uint64)": "uint64",
    "tensor(int64)": "int64",
    "tensor(float16)": "float16",
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(string)": TEXT,
}
_EXHAUSTED = ("bad_alloc", "failed to allocate", "bfc arena", "out of memory")
_SEVERITY_FATAL = 4
# With this set, a model's metadata (``ort_config``) would overrule the session's options.
_CONFIG_FROM_MODEL = "ORT_LOAD_CONFIG_FROM_MODEL"


class OrtEngine:
    """An ``Engine`` on an ONNX Runtime session."""

    def __init__(self, runtime: Any, source: ModelSource, options: EngineOptions) -> None:
        """Load the model at ``source``.

        Raises:
            LoadFailed: The runtime cannot load it, or none of the providers is here, or the first one
                does not run it although it must (``EngineOptions.exact``).
            OutOfMemory: The runtime could not allocate.
        """
        self._errors = _errors(runtime)
        providers = _present(runtime, options)
        try:
            session_options = _session_options(runtime, options)
            if source.optimised:
                session_options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
            session = _session(runtime, source, session_options, (providers, options))
        except self._errors as error:
            raise _typed(error, LoadFailed, f"{source.name}: {NAME} cannot load it", source) from error
        self._session = session
        self._maps_file = source.external
        ran = [name for name in session.get_providers() if name in providers]
        if not ran or (options.exact and ran[0] != providers[0]):
            really = ", ".join(session.get_providers())
            raise LoadFailed(f"{source.name}: asked for {providers[0]}, {NAME} silently runs it on {really}")
        self._inputs = tuple(_spec(node) for node in session.get_inputs())
        self._outputs = tuple(_spec(node) for node in session.get_outputs())
        self._names = [spec.name for spec in self._outputs]
        self._batch_axis = _batch_axis([*session.get_inputs(), *session.get_outputs()], ran[0])
        self._facts = EngineFacts(NAME, str(runtime.__version__), ran[0], options.threads, options.precision)
        self._quiet = runtime.RunOptions()
        self._quiet.log_severity_level = _SEVERITY_FATAL

    @property
    def facts(self) -> EngineFacts:
        """What really runs."""
        return self._facts

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Input specs."""
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Output specs."""
        return self._outputs

    @property
    def batch_axis(self) -> BatchAxis:
        """Rows where axis 0 of every tensor has one and the same name."""
        return self._batch_axis

    @property
    def maps_file(self) -> bool:
        """True if weights lie in files of their own: those are mapped, a model file is copied."""
        return self._maps_file

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run once.

        Raises:
            RunFailed: The runtime refused or failed.
            OutOfMemory: The runtime could not allocate.
        """
        try:
            outputs = self._session.run(self._names, inputs, self._quiet)
        except self._errors as error:
            raise _typed(error, RunFailed, f"{NAME} failed") from error
        return dict(zip(self._names, outputs, strict=True))

    def close(self) -> None:
        """Free the model; nothing may be called after."""
        del self._session


def open_model(source: ModelSource, options: EngineOptions) -> Engine:
    """Load an .onnx file.

    What the file says about how it is to be run is not believed, and no library of
    custom operators is ever registered: a model brings data, not code.

    Raises:
        LoadFailed: The package is absent or broken, or the runtime cannot load the file.
        OutOfMemory: The runtime could not allocate.
    """
    return OrtEngine(_runtime(), source, options)


def write_optimised(source: ModelSource, options: EngineOptions, target: Path) -> None:
    """Load a model and write what the runtime made of its graph, as one file for this machine alone.

    Raises:
        LoadFailed: The runtime cannot load the file, or cannot write the other.
        OutOfMemory: The runtime could not allocate.
    """
    runtime = _runtime()
    session_options = _session_options(runtime, options)
    session_options.optimized_model_filepath = str(target)
    try:
        _session(runtime, source, session_options, (_present(runtime, options), options))
    except _errors(runtime) as error:
        raise _typed(error, LoadFailed, f"{source.name}: {NAME} cannot write it optimised", source) from error


def version() -> str:
    """Return the runtime's version.

    Raises:
        LoadFailed: The package is absent or broken.
    """
    return str(_runtime().__version__)


def _runtime() -> Any:
    os.environ[_CONFIG_FROM_MODEL] = "0"
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import onnxruntime
    except (ImportError, OSError) as error:
        raise LoadFailed(f"{DISTRIBUTION} cannot be imported: {error}") from error
    return onnxruntime


def _session_options(runtime: Any, options: EngineOptions) -> Any:
    """Return options for one lane: few threads, none of them spinning, lean memory.

    Settings come and go between releases, so each is tried and an unknown one is
    left out; none changes what the model computes.
    """
    session = runtime.SessionOptions()
    session.intra_op_num_threads = options.threads
    session.inter_op_num_threads = 1
    session.log_severity_level = _SEVERITY_FATAL
    # A pattern is one block for each batch size seen; without it batches of
    # different sizes share the arena's chunks (6 MB less for a 5 MB model).
    session.enable_mem_pattern = False
    entries = {
        "session.intra_op.allow_spinning": "0",
        "session.inter_op.allow_spinning": "0",
    }
    if overflows(processor()):
        # This asks for the kernels that do not. Where none does, they would take twice the time for nothing.
        entries["session.x64quantprecision"] = "1"
    entries |= session_entries(options.providers or (CPU,))
    for key, value in entries.items():
        try:
            session.add_session_config_entry(key, value)
        except (RuntimeError, ValueError):
            continue
    return session


def _present(runtime: Any, options: EngineOptions) -> list[str]:
    """Return the providers asked for that this build has, in order; the processor if none was asked for.

    Asking for one that is absent makes the runtime warn, print, and try again
    with what it likes better; the gateway wants to know instead.
    """
    asked = options.providers or (CPU,)
    here = runtime.get_available_providers()
    providers = [name for name in asked if name in here]
    if not providers or (options.exact and providers[0] != asked[0]):
        wanted = asked[:1] if options.exact else asked
        raise LoadFailed(f"{NAME} has none of the providers {', '.join(wanted)}; it has {', '.join(here)}")
    return providers


def _session(
    runtime: Any, source: ModelSource, session_options: Any, how: tuple[list[str], EngineOptions]
) -> Any:
    """Make a session; options of providers that this build does not know are left out one by one."""
    pairs = provider_pairs(*how)
    for _ in range(MOST_REFUSALS):
        try:
            return runtime.InferenceSession(
                str(source.path), session_options, providers=pairs, enable_fallback=0
            )
        except _errors(runtime) as error:
            fewer = without_refused(pairs, str(error))
            if fewer is None:
                raise
            pairs = fewer
    raise LoadFailed(f"{source.name}: {NAME} refuses more than {MOST_REFUSALS} options of its providers")


def _spec(node: Any) -> TensorSpec:
    dtype = _DTYPES.get(node.type)
    if dtype is None:
        raise LoadFailed(f"tensor {node.name}: type {node.type} is not supported")
    sizes = tuple(size if isinstance(size, int) and size >= 0 else None for size in node.shape)
    return TensorSpec(node.name, dtype, sizes)


def _batch_axis(nodes: list[Any], provider: str) -> BatchAxis:
    firsts = {node.shape[0] if node.shape else 1 for node in nodes}
    if any(isinstance(first, int) for first in firsts):
        return BatchAxis.FIXED
    if len(firsts) == 1 and None not in firsts:
        return BatchAxis.ROWS
    # What is open may be tried, but not on a GPU: for a size that it never saw, one may build for minutes.
    return BatchAxis.OPEN if provider == CPU else BatchAxis.FIXED


def _errors(runtime: Any) -> tuple[type[Exception], ...]:
    """Return every class that this build raises; they share no base but Exception."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        native = runtime.capi.onnxruntime_pybind11_state
    own = [kind for kind in vars(native).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    return (*own, RuntimeError, ValueError, TypeError, OSError, MemoryError)


def _typed(
    error: Exception, kind: type[EngineFailed], what: str, source: ModelSource | None = None
) -> EngineFailed:
    """Return what the runtime raised as one of ours; a sticky error is named first, lest it be cut."""
    text = " ".join(str(error).split())
    if source is not None:
        text = text.replace(str(source.path), source.name)
    cause = sticky_cause(text)
    if cause:
        return kind(f"{what}: {cause}: {text[:600]}", sticky=cause)
    exhausted = isinstance(error, MemoryError) or any(word in text.lower() for word in _EXHAUSTED)
    return (OutOfMemory if exhausted else kind)(f"{what}: {text[:600]}")
