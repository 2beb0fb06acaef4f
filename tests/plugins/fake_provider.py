"""An execution provider that runs on the processor and goes wrong as GPUs do, by a script.

The script is a JSON file whose path is in ``ORT_FAKE_PROVIDER`` (a name that
children of the gateway inherit). It is read at every load and every run, so a test
can change it while lanes serve. Keys, all optional::

    {"load": "sigill", "run": "sticky", "after": 3, "build_s": 1.5, "build_steps": 5}

``load``: ``ok``; ``sigill`` (ends the process by SIGILL); ``oom``; ``no_kernels`` (nothing for this GPU);
``fallback`` (a session that silently runs on the processor). ``run``: ``ok``; ``sticky`` (illegal memory
access, from then on for ever in this process); ``oom``; ``wrong`` (numbers that are off); ``hang``.
``after``: runs of the process that are still well. ``build_s``: how long the first run takes, as an
engine build does, told in ``build_steps`` pieces; a build that found its engine in the cache takes none.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as native

from gateway.inference.engines.engine import Engine, EngineOptions, ModelSource
from gateway.inference.engines.ort import OrtEngine
from gateway.inference.engines.progress import tell

PROVIDER = "FakeExecutionProvider"
CPU = "CPUExecutionProvider"
VARIABLE = "ORT_FAKE_PROVIDER"

ILLEGAL = (
    "Non-zero status code returned while running Conv node. Name:'Conv_0' Status Message: CUDA failure 700: "
    "an illegal memory access was encountered ; GPU=0 ; hostname=board ; file=cuda_call.cc ; line=129 ; "
    "expr=cudaStreamSynchronize(static_cast<cudaStream_t>(stream));"
)
EXHAUSTED = (
    "Non-zero status code returned while running Conv node. Status Message: bfc_arena.cc:376 "
    "AllocateRawInternal Failed to allocate memory for requested buffer of size 1073741824"
)
NO_KERNELS = (
    "CUDA failure 209: no kernel image is available for execution on the device ; GPU=0 ; hostname=board ; "
    "file=cuda_execution_provider.cc ; line=283 ; expr=cudaGetLastError();"
)

_lost = threading.Event()  # a context that is lost is lost for every session of the process
_runs = [0]  # of all sessions of the process


def script() -> dict[str, Any]:
    """Return what is to go wrong now."""
    path = os.environ.get(VARIABLE, "")
    if not path:
        return {}
    said: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return said


class _Session:
    def __init__(self, real: Any, providers: Sequence[str], cache: str) -> None:
        self._real = real
        self._providers = list(providers)
        self._cache = cache
        self._built = False

    def get_providers(self) -> list[str]:
        return self._providers

    def get_inputs(self) -> Any:
        return self._real.get_inputs()

    def get_outputs(self) -> Any:
        return self._real.get_outputs()

    def run(self, names: Sequence[str], inputs: Mapping[str, Any], options: Any) -> list[Any]:
        said = script()
        self._build(said)
        if _lost.is_set():
            raise native.Fail(f"[ONNXRuntimeError] : 1 : FAIL : {ILLEGAL}")
        _runs[0] += 1
        what = said.get("run", "ok") if _runs[0] > said.get("after", 0) else "ok"
        if what == "sticky":
            _lost.set()
            raise native.Fail(f"[ONNXRuntimeError] : 1 : FAIL : {ILLEGAL}")
        if what == "oom":
            raise native.RuntimeException(f"[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : {EXHAUSTED}")
        if what == "hang":
            time.sleep(600)
        outputs: list[Any] = self._real.run(names, inputs, options)
        if what == "wrong":
            return [1 - each if each.dtype.kind == "f" else each for each in outputs]
        return outputs

    def _build(self, said: Mapping[str, Any]) -> None:
        """Take as long as building an engine does, once, unless the cache has it."""
        if self._built:
            return
        self._built = True
        engine = Path(self._cache) / "fake.engine" if self._cache else None
        if engine is not None and engine.exists():
            return
        steps = int(said.get("build_steps", 4))
        for step in range(steps if said.get("build_s") else 0):
            tell(f"building an engine: {step + 1} of {steps}")
            time.sleep(float(said["build_s"]) / steps)
        if engine is not None:
            try:
                engine.write_text("an engine", encoding="utf-8")
            except OSError:
                return  # a lane may not write: it builds for itself, as TensorRT does


class _Runtime:
    """The real runtime, but for the provider."""

    def __init__(self, cache: str) -> None:
        self._cache = cache

    def __getattr__(self, name: str) -> Any:
        return getattr(onnxruntime, name)

    def get_available_providers(self) -> list[str]:
        return [PROVIDER, CPU]

    def InferenceSession(self, path: str, options: Any, **more: Any) -> _Session:  # noqa: N802 - its name
        what = script().get("load", "ok")
        if what == "sigill":
            os.kill(os.getpid(), signal.SIGILL)
        if what == "oom":
            raise native.RuntimeException(f"[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : {EXHAUSTED}")
        if what == "no_kernels":
            raise native.Fail(f"[ONNXRuntimeError] : 1 : FAIL : {NO_KERNELS}")
        options = onnxruntime.SessionOptions()  # the processor is not among the providers asked for
        real = onnxruntime.InferenceSession(path, options, providers=[CPU])
        return _Session(real, [CPU] if what == "fallback" else [PROVIDER, CPU], self._cache)


def open_model(source: ModelSource, options: EngineOptions) -> Engine:
    """Load an .onnx file, or do what the script says instead."""
    return OrtEngine(_Runtime(options.engine_cache), source, options)
