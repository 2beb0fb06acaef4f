"""The throw-away process that loads a model nobody has loaded yet; started by ``gateway.inference.proof``.

Reads one JSON request on standard input; writes a line for each stage it enters
and one verdict, a proof or an error, on standard output. Runtimes that print go
to standard error. It confines itself before it touches the model: memory and
processor time are limited, no core is dumped, and it dies with its parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import os
import resource
import signal
import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from gateway.errors import GatewayError, LoadFailed, OutOfMemory
from gateway.inference.dry_run import dry_run
from gateway.inference.loaded import LoadedModel, LoadSpec, PipelineSpec
from gateway.inference.proven import Proof

_PR_SET_PDEATHSIG = 1
_TIMED_RUNS = 5
_CPU_SPARE_S = 10
_POLITENESS = 5  # lanes that serve go first

# The card's own steps, compiled for the golden samples; no configuration can take this name.
GOLDEN = "(card)"


def main() -> int:
    """Try the model that standard input names; return the exit code."""
    verdicts = _private_stdout()
    request = json.loads(sys.stdin.buffer.read())
    _confine(request)
    spec = LoadSpec.from_json(request["spec"])
    stage = "load"

    def enter(name: str) -> None:
        nonlocal stage
        stage = name
        _say(verdicts, {"stage": name})

    try:
        proof = _prove(spec, enter)
    except (MemoryError, GatewayError) as error:
        _say(verdicts, {"error": _described(error, stage)})
        return 1
    except Exception as error:  # noqa: BLE001 - the edge of this process: a wild file raises anything
        _say(verdicts, {"error": _described(LoadFailed(f"{type(error).__name__}: {error}"), stage)})
        return 1
    _say(verdicts, {"proof": asdict(proof)})
    return 0


def _prove(spec: LoadSpec, enter: Any) -> Proof:
    enter("load")
    before_bytes = _anonymous_bytes()
    model = LoadedModel.load(spec)
    enter("warm_up")
    model.warm_up()
    latency_ms = _latency_ms(model)
    after_bytes = _anonymous_bytes()
    enter("dry_run")
    for each in spec.pipelines:
        dry_run(model, each.name)
    stateful = tuple(sorted(model.stateful))
    enter("golden")
    golden = _run_golden(model, spec)
    return Proof(
        model.version,
        model.engine.facts,
        model.engine.inputs,
        model.engine.outputs,
        model.max_rows,
        stateful,
        latency_ms,
        max(after_bytes - before_bytes, 0),
        golden,
    )


def _run_golden(model: LoadedModel, spec: LoadSpec) -> tuple[str, ...]:
    if not model.folder.card.golden:
        return ()
    from gateway.inference.golden_run import run_golden

    model.set_pipelines((*spec.pipelines, PipelineSpec(GOLDEN)))
    return run_golden(model, GOLDEN)


def _latency_ms(model: LoadedModel) -> float:
    took_s = []
    for _ in range(_TIMED_RUNS):
        started_s = time.perf_counter()
        model.run_zeros()
        took_s.append(time.perf_counter() - started_s)
    return statistics.median(took_s) * 1e3


def _described(error: GatewayError | MemoryError, stage: str) -> Mapping[str, Any]:
    if not isinstance(error, GatewayError):
        return {"label": OutOfMemory.label, "message": "not enough memory", "stage": stage}
    return {"label": error.label, "message": error.message[:4000], "stage": stage}


def _confine(request: Mapping[str, Any]) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != request["parent"]:  # it ended before we asked
        os._exit(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    threads = os.cpu_count() or 1
    _limit(resource.RLIMIT_CPU, math.ceil(request["timeout_s"]) * threads + _CPU_SPARE_S)
    # Not RLIMIT_AS: runtimes reserve far more address space than they ever touch.
    _limit(resource.RLIMIT_DATA, int(request["memory_bytes"]))
    with contextlib.suppress(OSError):
        os.nice(_POLITENESS)


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _private_stdout() -> TextIO:
    """Keep standard output for verdicts; whatever else prints goes to standard error."""
    verdicts = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return verdicts


def _say(verdicts: TextIO, words: Mapping[str, Any]) -> None:
    verdicts.write(json.dumps(words, separators=(",", ":")) + "\n")
    verdicts.flush()


def _anonymous_bytes() -> int:
    """Return the private memory that no file backs: what a further lane costs."""
    with Path("/proc/self/status").open(encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    sys.exit(main())
