"""The throw-away process that loads a model nobody has loaded yet; started by ``gateway.inference.proof``.

Reads one JSON request on standard input; writes a line for each stage it enters
and one verdict, a proof or an error, on standard output. Runtimes that print go
to standard error. It confines itself before it touches the model (see
``proof_limits``), and measures what a lane would cost.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from gateway.errors import GatewayError, LoadFailed, OutOfMemory
from gateway.inference.dry_run import dry_run
from gateway.inference.engines import progress
from gateway.inference.loaded import LoadedModel, LoadSpec, PipelineSpec
from gateway.inference.proof_limits import confine_child
from gateway.inference.proven import Proof
from gateway.operations.child_start import take_stdout
from gateway.operations.kernel_bytes import kernel_bytes
from gateway.tensor import Array

_LEAST_RUNS, _MOST_RUNS = 5, 100
_MOST_TIMED_S = 0.5
_LONGEST_TIMED_S = 3.0  # by the clock on the wall, on a board that has no time for us
_ON_PROCESSOR = ("xnnpack", "builtin", "compiled", "CPUExecutionProvider")
_MOST_CHECKED_ROWS = 256

# The card's own steps, compiled for the golden samples; no configuration can take this name.
GOLDEN = "(card)"

Enter = Callable[[str], None]


def main() -> int:
    """Try the model that standard input names; return the exit code."""
    verdicts = os.fdopen(take_stdout(), "w", encoding="utf-8")
    request = json.loads(sys.stdin.buffer.read())
    spec = LoadSpec.from_json(request["spec"])
    confined = confine_child(request, spec.options)
    stage = "structure"

    def enter(name: str) -> None:
        nonlocal stage
        stage = name
        _say(verdicts, {"stage": name})

    progress.listen(lambda words: _say(verdicts, {"progress": words}))
    try:
        proof = _prove(spec, enter, request.get("derive"), confined)
    except (MemoryError, GatewayError) as error:
        _say(verdicts, {"error": _described(error, stage)})
        return 1
    except Exception as error:  # noqa: BLE001 - the edge of this process: a wild file raises anything
        _say(verdicts, {"error": _described(LoadFailed(f"{type(error).__name__}: {error}"), stage)})
        return 1
    _say(verdicts, {"proof": asdict(proof)})
    return 0


def _prove(spec: LoadSpec, enter: Enter, derive: str | None, confined: str) -> Proof:
    before_bytes = _status_bytes("RssAnon")
    started_s = time.perf_counter()
    model = LoadedModel.load(spec, enter)
    enter("warm_up")
    model.warm_up()
    load_s = time.perf_counter() - started_s
    held_bytes = [_status_bytes("RssAnon")]
    enter("dry_run")
    for each in spec.pipelines:
        dry_run(model, each.name)
    stateful = tuple(sorted(model.stateful))
    enter("golden")
    golden, rows = _run_golden(model, spec)
    took_ms = _times_ms(model, rows)
    held_bytes.append(_status_bytes("RssAnon"))
    if derive:
        enter("derive")
        _derive(model, spec, Path(derive), rows)
    return Proof(
        model.version,
        model.engine.facts,
        model.engine.inputs,
        model.engine.outputs,
        model.max_rows,
        stateful,
        statistics.median(took_ms),
        max(0, max(held_bytes) - before_bytes),
        golden,
        load_s,
        sorted(took_ms)[math.ceil(len(took_ms) * 0.99) - 1],
        _status_bytes("VmHWM"),
        model.source.sha256,
        tuple((file.path.name, file.sha256) for file in model.weights),
        confined,
    )


def _run_golden(model: LoadedModel, spec: LoadSpec) -> tuple[tuple[str, ...], list[dict[str, Array]]]:
    """Run the golden samples; return the files that held, and some of their rows."""
    if not model.folder.card.golden:
        return (), []
    from gateway.inference.golden_run import check_finite, golden_rows, run_golden

    model.set_pipelines((*spec.pipelines, PipelineSpec(GOLDEN)))
    held = run_golden(model, GOLDEN)
    rows = golden_rows(model, GOLDEN)[:_MOST_CHECKED_ROWS]
    check_finite(model, rows)
    return held, [row for _, row in rows]


def _times_ms(model: LoadedModel, rows: list[dict[str, Array]]) -> list[float]:
    """Time runs of one row each: real ones in turn, or zeros.

    A model that runs on one thread of the processor is timed by what it used of
    it: that the board is busy says nothing against the model.
    """
    facts = model.engine.facts
    # The thread's clock: the process's own is as coarse as the scheduler's tick once RLIMIT_CPU is set.
    clock = time.thread_time if facts.threads == 1 and facts.backend in _ON_PROCESSOR else time.perf_counter
    took_s: list[float] = []
    until_s = time.perf_counter() + _LONGEST_TIMED_S
    while len(took_s) < _MOST_RUNS and (len(took_s) < _LEAST_RUNS or sum(took_s) < _MOST_TIMED_S):
        started_s = clock()
        if rows:
            model.run_rows([rows[len(took_s) % len(rows)]])
        else:
            model.run_zeros()
        took_s.append(clock() - started_s)
        if time.perf_counter() > until_s and len(took_s) >= _LEAST_RUNS:
            break
    return [each * 1e3 for each in took_s]


def _derive(model: LoadedModel, spec: LoadSpec, target: Path, rows: list[dict[str, Array]]) -> None:
    """Have the runtime write what it made of the model, and keep it only if it answers the same."""
    from gateway.inference.deriving import write_derived

    if not write_derived(model, spec, target, rows):
        target.unlink(missing_ok=True)


def _described(error: GatewayError | MemoryError, stage: str) -> Mapping[str, Any]:
    if not isinstance(error, GatewayError):
        return {"label": OutOfMemory.label, "message": "not enough memory", "stage": stage}
    return {"label": error.label, "message": error.message[:4000], "stage": stage}


def _say(verdicts: TextIO, words: Mapping[str, Any]) -> None:
    verdicts.write(json.dumps(words, separators=(",", ":")) + "\n")
    verdicts.flush()


def _status_bytes(name: str) -> int:
    """Return a size that the kernel keeps of this process: ``RssAnon`` is what no file backs."""
    return kernel_bytes("/proc/self/status", name)


if __name__ == "__main__":
    sys.exit(main())
