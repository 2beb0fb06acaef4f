"""One TFLite model in LiteRT's CompiledModel, on the processor or by WebGPU: only where it is asked for.

It says nothing of quantisation or operators, so those are asked of an Interpreter,
which is dropped before the model is compiled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from gateway.errors import LoadFailed, RunFailed
from gateway.inference.engines.engine import BatchAxis, EngineFacts, ModelSource
from gateway.inference.engines.precision import WEBGPU
from gateway.inference.engines.tflite_interpreter import (
    HIDDEN_STATE,
    RUNTIME_ERRORS,
    SEQUENCES,
    operators_of,
    tensor_spec,
    typed_error,
)
from gateway.tensor import Array, TensorSpec


class CompiledLitert:
    """An ``Engine`` on a CompiledModel. Its batch is the file's: axes are not resized."""

    def __init__(
        self, modules: tuple[Any, Any], facts: tuple[str, str], source: ModelSource, how: tuple[str, int]
    ) -> None:
        """Load the model at ``source``.

        Args:
            modules: The package's modules ``compiled_model`` and ``interpreter``.
            facts: Name and version of the runtime.
            source: The model file, which must never be written in place while this lives.
            how: ``compiled`` or ``webgpu``, and threads inside one inference.

        Raises:
            LoadFailed: The runtime cannot load it, it keeps state, or the GPU does not take all of it.
            OutOfMemory: The runtime could not allocate.
        """
        module, interpreter = modules
        backend, threads = how
        try:
            self._inputs, self._outputs = _looked_at(interpreter, source)
            self._model = _compiled(module, source, how)
            self._into = self._model.create_input_buffers(0)
            self._from = self._model.create_output_buffers(0)
            whole = backend != WEBGPU or self._model.is_fully_accelerated()
        except (*RUNTIME_ERRORS, MemoryError) as error:
            raise typed_error(error, LoadFailed, f"{source.name}: {facts[0]} cannot compile it") from error
        if not whole:
            raise LoadFailed(f"{source.name}: the GPU takes only a part of it")
        self._facts = EngineFacts(*facts, backend, threads)

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
        """Always fixed."""
        return BatchAxis.FIXED

    @property
    def maps_file(self) -> bool:
        """Always true: what is not packed is read where it lies."""
        return True

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run once; each input is copied in once, each output copied out once.

        Raises:
            RunFailed: The runtime refused or failed, or an array does not fit.
            OutOfMemory: The runtime could not allocate.
        """
        try:
            for spec, buffer in zip(self._inputs, self._into, strict=True):
                buffer.write(_fitting(spec, inputs[spec.name]).ravel())
            self._model.run_by_index(0, self._into, self._from)
            return {
                spec.name: np.array(buffer.read(_count(spec), np.dtype(spec.dtype))).reshape(_sizes(spec))
                for spec, buffer in zip(self._outputs, self._from, strict=True)
            }
        except KeyError as error:
            raise RunFailed(f"no array for input {error}") from error
        except (*RUNTIME_ERRORS, MemoryError) as error:
            raise typed_error(error, RunFailed, f"{self._facts.runtime} failed") from error

    def close(self) -> None:
        """Free the model; nothing may be called after."""
        for buffer in (*self._into, *self._from):
            buffer.destroy()
        self._model.close()


def _looked_at(module: Any, source: ModelSource) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Return inputs and outputs of a model that keeps nothing between runs.

    Raises:
        LoadFailed: It does.
    """
    interpreter = module.Interpreter(
        model_path=str(source.path),
        experimental_op_resolver_type=module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    kept = sorted((HIDDEN_STATE | SEQUENCES) & set(operators_of(interpreter)))
    if kept:
        raise LoadFailed(f"{source.name}: CompiledModel cannot reset {', '.join(kept)}; streams would mix")
    details = interpreter.get_input_details(), interpreter.get_output_details()
    inputs, outputs = (tuple(tensor_spec(each) for each in side) for side in details)
    return inputs, outputs


def _compiled(module: Any, source: ModelSource, how: tuple[str, int]) -> Any:
    backend, threads = how
    accelerator = module.HardwareAccelerator
    options = module.Options(
        hardware_accelerators=accelerator.GPU if backend == WEBGPU else accelerator.CPU,
        cpu_options=module.CpuOptions(num_threads=threads),
    )
    return module.CompiledModel.from_file(str(source.path), options=options)


def _fitting(spec: TensorSpec, array: Array) -> Array:
    """Return an array as the runtime wants it; it looks at neither shape nor type itself.

    Raises:
        ValueError: It does not fit.
    """
    if array.dtype != np.dtype(spec.dtype) or array.shape != _sizes(spec):
        raise ValueError(f"input {spec.name}: {array.dtype}{list(array.shape)} does not fit {spec}")
    return np.ascontiguousarray(array)


def _sizes(spec: TensorSpec) -> tuple[int, ...]:
    return tuple(1 if size is None else size for size in spec.shape)


def _count(spec: TensorSpec) -> int:
    return math.prod(_sizes(spec))
