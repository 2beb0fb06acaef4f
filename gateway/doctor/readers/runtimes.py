"""Tries every installed runtime and provider, each in a process of its own, one after the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata, util
from typing import Final

from gateway.configuration.settings import Settings
from gateway.doctor.rules.runtimes import PACKAGES, Trial
from gateway.inference.engines.board import Board
from gateway.inference.engines.plugins import CPU
from gateway.operations.child_end import last_words, signal_name
from gateway.operations.child_environment import child_environment

# The first engine of a GPU is built at the first run, and that can take a minute on a small board.
LIMIT_S: Final = 120.0
_MODULES: Final = {
    "litert": "ai_edge_litert",
    "tflite-runtime": "tflite_runtime",
    "onnxruntime": "onnxruntime",
}
_PREFIXES: Final = ("OPENBLAS_", "OMP_", "CUDA_", "NVIDIA_", "ORT_")
_XNNPACK: Final = "xnnpack"
_COMMAND: Final = (sys.executable, "-m", "gateway.doctor.trial_child")


def read_trials(settings: Settings, board: Board) -> list[Trial]:
    """Try what is installed, and what the configuration asks for."""
    return [try_out(trial) for trial in _to_try(settings, board)]


def try_out(trial: Trial, command: tuple[str, ...] = _COMMAND, limit_s: float = LIMIT_S) -> Trial:
    """Return a trial with what came of it; never raises, whatever the runtime does."""
    request = {"runtime": trial.runtime, "provider": trial.provider, "parent": os.getpid()}
    try:
        done = subprocess.run(
            command,
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=limit_s,
            check=False,
            env=child_environment(prefixes=_PREFIXES),
        )
    except subprocess.TimeoutExpired:
        return replace(trial, error=f"did not end within {limit_s:g} s")
    except OSError as error:
        return replace(trial, error=f"cannot be started: {error}")
    if done.returncode < 0:
        name = signal_name(-done.returncode)
        return replace(trial, error=f"the process was ended by {name}{last_words(done.stderr)}")
    try:
        answer = json.loads(done.stdout)
        if "error" in answer:
            return replace(trial, error=str(answer["error"])[:600])
        off_by = answer["off_by"]
        return replace(
            trial,
            version=str(answer["version"]),
            backend=str(answer["backend"]),
            latency_ms=float(answer["latency_ms"]),
            off_by=None if off_by is None else float(off_by),
        )
    except (ValueError, TypeError, KeyError):
        return replace(
            trial, error=f"ended with code {done.returncode} and no answer{last_words(done.stderr)}"
        )


def _to_try(settings: Settings, board: Board) -> Iterator[Trial]:
    models = settings.models.values()
    engines = {model.engine for model in models}
    asked = {provider for model in models for provider in model.providers or (CPU,)}
    here = {name for name, module in _MODULES.items() if util.find_spec(module) is not None}
    for name in ("litert", "tflite-runtime"):
        if name in here or name in engines:
            # auto takes LiteRT, and the other one only where that is absent.
            first = name == "litert" or "litert" not in here
            yield Trial(name, _XNNPACK, name in engines or (first and "auto" in engines), _version(name))
    if "onnxruntime" in here or "onnxruntime" in engines:
        for provider in dict.fromkeys((*board.providers, CPU, *sorted(asked))):
            wanted = provider in asked and bool(engines & {"auto", "onnxruntime"})
            yield Trial("onnxruntime", provider, wanted, _version("onnxruntime"))


def _version(runtime: str) -> str:
    for name in (PACKAGES[runtime], f"{PACKAGES[runtime]}-gpu"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return ""
