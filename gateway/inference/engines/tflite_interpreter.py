"""One TFLite model in an Interpreter; shared by the two packages that ship this API.

Only the module object differs: ``ai_edge_litert.interpreter`` and
``tflite_runtime.interpreter`` have the same classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gateway.errors import EngineFailed, LoadFailed, OutOfMemory, RunFailed
from gateway.inference.engines.engine import BatchAxis, EngineFacts, EngineOptions, ModelSource
from gateway.tensor import DTYPES, Array, Quantization, TensorSpec

XNNPACK = "xnnpack"

# Operators that keep a resource between runs which nothing resets from outside:
# frames of different streams would see each other.
HIDDEN_STATE = frozenset({"VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "SVDF"})

# Operators that begin each sequence where the last one ended unless they are told
# otherwise; trained models mean every window to begin at zero.
SEQUENCES = frozenset(
    {
        "RNN",
        "LSTM",
        "UNIDIRECTIONAL_SEQUENCE_RNN",
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        "BIDIRECTIONAL_SEQUENCE_RNN",
        "BIDIRECTIONAL_SEQUENCE_LSTM",
    }
)

RUNTIME_ERRORS = (ValueError, RuntimeError, TypeError, OSError, OverflowError)


class TfliteInterpreter:
    """An ``Engine`` on the Interpreter API."""

    def __init__(
        self, module: Any, facts: tuple[str, str], source: ModelSource, options: EngineOptions
    ) -> None:
        """Load the model at ``source``.

        Args:
            module: The package's interpreter module.
            facts: Name and version of the runtime.
            source: The model file; the runtime maps it into memory, so it must never be
                written in place while this lives.
            options: Threads and delegates.

        Raises:
            LoadFailed: The runtime cannot load it, or it hides state from the gateway.
            OutOfMemory: The runtime could not allocate.
        """
        try:
            self._interpreter = _interpreter(module, source, options)
            self._interpreter.allocate_tensors()
            details_in = self._interpreter.get_input_details()
            details_out = self._interpreter.get_output_details()
        except (*RUNTIME_ERRORS, MemoryError) as error:
            raise typed_error(error, LoadFailed, f"{source.name}: {facts[0]} cannot load it") from error
        operators = operators_of(self._interpreter)
        if hidden := sorted(HIDDEN_STATE & set(operators)):
            message = (
                f"{source.name}: keeps state inside the interpreter ({', '.join(hidden)}); streams would mix"
            )
            raise LoadFailed(message)
        self._resets = not SEQUENCES.isdisjoint(operators)
        self._inputs = tuple(tensor_spec(detail) for detail in details_in)
        self._outputs = tuple(tensor_spec(detail) for detail in details_out)
        self._into = {spec.name: int(d["index"]) for spec, d in zip(self._inputs, details_in, strict=True)}
        self._from = [
            (spec.name, int(d["index"])) for spec, d in zip(self._outputs, details_out, strict=True)
        ]
        self._dynamic = all(spec.shape[:1] == (None,) for spec in (*self._inputs, *self._outputs))
        self._rows = 1
        self._facts = EngineFacts(*facts, _backend(operators, options), options.threads)

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
        """Rows where the file's shape signatures leave axis 0 open."""
        return BatchAxis.ROWS if self._dynamic else BatchAxis.FIXED

    @property
    def maps_file(self) -> bool:
        """Always true: the interpreter maps what it opens, and reads tensors where they lie."""
        return True

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run once; each input is copied in once, each output copied out once.

        Raises:
            RunFailed: The runtime refused or failed.
            OutOfMemory: The runtime could not allocate.
        """
        interpreter = self._interpreter
        try:
            if self._dynamic:
                self._fit(next(iter(inputs.values())).shape[0])
            if self._resets:
                interpreter.reset_all_variables()
            for name, index in self._into.items():
                interpreter.set_tensor(index, inputs[name])
            interpreter.invoke()
            return {name: interpreter.get_tensor(index) for name, index in self._from}
        except KeyError as error:
            raise RunFailed(f"no array for input {error}") from error
        except (*RUNTIME_ERRORS, MemoryError) as error:
            raise typed_error(error, RunFailed, f"{self._facts.runtime} failed") from error

    def close(self) -> None:
        """Free the model; nothing may be called after."""
        del self._interpreter

    def _fit(self, rows: int) -> None:
        """Resize every input to ``rows`` rows; unchanged sizes cost nothing."""
        if rows == self._rows:
            return
        for spec in self._inputs:
            sizes = [rows, *(1 if size is None else size for size in spec.shape[1:])]
            self._interpreter.resize_tensor_input(self._into[spec.name], sizes)
        self._rows = 0  # not allocated, should the next line fail
        self._interpreter.allocate_tensors()
        self._rows = rows


def _interpreter(module: Any, source: ModelSource, options: EngineOptions) -> Any:
    external = [module.load_delegate(name) for name in options.delegates if name != XNNPACK]
    built_in = module.OpResolverType
    resolver = built_in.AUTO if XNNPACK in options.delegates else built_in.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    return module.Interpreter(
        model_path=str(source.path),
        num_threads=options.threads,
        experimental_delegates=external or None,
        experimental_op_resolver_type=resolver,
    )


def operators_of(interpreter: Any) -> list[str]:
    """Return the operators of the graph, after delegates took their share.

    There is no public list; what a delegate took shows as nodes named DELEGATE.
    """
    return [str(details["op_name"]) for details in interpreter._get_ops_details()]  # noqa: SLF001 - see above


def _backend(operators: Sequence[str], options: EngineOptions) -> str:
    """Name what runs: the delegates asked for if any took a part of the graph, else ``builtin``."""
    return "+".join(options.delegates) if "DELEGATE" in operators else "builtin"


def tensor_spec(detail: Mapping[str, Any]) -> TensorSpec:
    """Return the spec of a tensor from the interpreter's details of it.

    Raises:
        LoadFailed: Its element type is not supported, or its quantisation is impossible.
    """
    dtype = np.dtype(detail["dtype"]).name
    name = str(detail["name"])
    if dtype not in DTYPES:
        raise LoadFailed(f"tensor {name}: element type {dtype} is not supported")
    signature = detail.get("shape_signature", ())
    shape = signature if len(signature) else detail["shape"]
    sizes = tuple(None if size < 0 else int(size) for size in shape)
    return TensorSpec(name, dtype, sizes, _quantization(name, detail["quantization_parameters"]))


def _quantization(name: str, parameters: Mapping[str, Any]) -> Quantization | None:
    scales = parameters["scales"]
    if len(scales) > 1:
        raise LoadFailed(f"tensor {name}: quantised per channel; inputs and outputs must be per tensor")
    if len(scales) == 0 or scales[0] == 0:
        return None
    scale, zero_point = float(scales[0]), int(parameters["zero_points"][0])
    if not np.isfinite(scale) or scale < 0:
        raise LoadFailed(f"tensor {name}: quantisation scale {scale} is impossible")
    return Quantization(scale, zero_point)


def typed_error(error: BaseException, kind: type[EngineFailed], what: str) -> EngineFailed:
    """Return what a runtime raised as one of ours: ``kind``, or that memory is short."""
    text = " ".join(str(error).split())[:300]
    exhausted = isinstance(error, MemoryError) or "bad_alloc" in text or "failed to allocate" in text.lower()
    return (OutOfMemory if exhausted else kind)(f"{what}: {text}")
