"""The throw-away process in which one runtime runs the small model once with one provider, and is timed.

Reads one JSON request on standard input, writes one JSON answer on standard
output. A runtime that ends the process by a signal has answered, too.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from gateway.doctor.small_model import FILES, as_format, expected, given
from gateway.errors import GatewayError
from gateway.inference.engines.engine import EngineOptions, ModelSource
from gateway.inference.engines.select import RUNTIMES, open_engine
from gateway.operations.child_start import die_with_parent, take_stdout

_RUNS: Final = 20


def main() -> int:
    """Try what standard input names; return the exit code."""
    answers = os.fdopen(take_stdout(), "w", encoding="utf-8")
    request = json.loads(sys.stdin.buffer.read())
    die_with_parent(request["parent"])
    try:
        answer = _try_out(request["runtime"], request["provider"])
    except GatewayError as error:
        answer = {"error": error.message}
    except Exception as error:  # noqa: BLE001 - the edge of this process: a broken package raises anything
        answer = {"error": f"{type(error).__name__}: {error}"}
    answers.write(json.dumps(answer))
    answers.flush()
    return 0


def _try_out(runtime: str, provider: str) -> Mapping[str, Any]:
    model_format = next(name for name, runtimes in RUNTIMES.items() if runtime in runtimes)
    file = FILES[model_format]
    options = (
        EngineOptions(providers=(provider,))
        if model_format == "onnx"
        else EngineOptions(delegates=(provider,))
    )
    engine = open_engine(ModelSource(file, file.name), model_format, runtime, options)
    name = engine.inputs[0].name
    feed = {name: as_format(given(), model_format)}
    (found,) = engine.run(feed).values()
    took_s = []
    for _ in range(_RUNS):
        started_s = time.perf_counter()
        engine.run(feed)
        took_s.append(time.perf_counter() - started_s)
    right = as_format(expected(), model_format)
    off_by = float(np.max(np.abs(found.astype(np.float32) - right)) / np.max(right))
    return {
        "version": engine.facts.version,
        "backend": engine.facts.backend,
        "latency_ms": round(statistics.median(took_s) * 1e3, 4),
        "off_by": off_by if np.isfinite(off_by) else None,
    }


if __name__ == "__main__":
    sys.exit(main())
