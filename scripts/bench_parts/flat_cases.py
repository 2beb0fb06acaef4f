"""Case of memory over many requests: what front end and workers hold while both doors are asked."""

from __future__ import annotations

import json
import statistics
import tempfile
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import harness
from serving_models import made
from serving_targets import Daemon, message_to

Figures = dict[str, Any]
STEP: Final = 50_000
CONNECTIONS: Final = 8
# An hour stands for no limit: the number of requests ends a step.
_LONG_S: Final = 3600
# 2 MB in a million requests, which is what the allocator may still be settling.
_GOAL_BYTES: Final = 2.0


@dataclass(frozen=True)
class Held:
    """Memory after so many requests.

    Attributes:
        requests: Answered since the start.
        front_kb: Of the front end: resident, and its alone (RSS, USS).
        workers_kb: Of all workers together, in the same way.
    """

    requests: int
    front_kb: tuple[int, int]
    workers_kb: tuple[int, int]


def flat(_rounds: int, *, requests: int = 100_000, step: int = STEP) -> Figures:
    """Memory over many requests, half of them over HTTP on kept connections and half over gRPC."""
    with tempfile.TemporaryDirectory(prefix="bench-models-") as place:
        small = made(Path(place))["small"]
        with Daemon([small], small) as daemon:
            message = message_to(small)
            samples, failed = [held(daemon, 0)], 0
            # Two clients at a time, as threads that wait for their processes.
            with ThreadPoolExecutor(2) as clients:
                while samples[-1].requests < requests:
                    share = min(step, requests - samples[-1].requests)
                    http = clients.submit(daemon.load, *_until(share - share // 2))
                    rpc = clients.submit(daemon.load_rpc, message, *_until(share // 2))
                    loads = (http.result(), rpc.result())
                    failed += sum(each["failed"] for each in loads)
                    done = samples[-1].requests + sum(each["answered"] for each in loads)
                    samples.append(held(daemon, done))
                    print(f"  {samples[-1]}", flush=True)
    figures = said(samples)
    return figures | {"failed_requests": failed, "failed": figures["failed"] or failed > 0}


def _until(requests: int) -> tuple[str | float, ...]:
    return ("--seconds", _LONG_S, "--most", requests, "--connections", CONNECTIONS)


def said(samples: Sequence[Held]) -> Figures:
    """Return what samples say: each, and how steeply memory rises in their second half."""
    later = samples[len(samples) // 2 :]
    slopes = {
        "front end": slope_bytes(later, lambda each: each.front_kb[1]),
        "workers": slope_bytes(later, lambda each: each.workers_kb[1]),
    }
    figures: Figures = {"requests": samples[-1].requests}
    for each in samples:
        (front_rss, front_uss), (workers_rss, workers_uss) = each.front_kb, each.workers_kb
        figures[f"after {each.requests}"] = (
            f"front end RSS {front_rss} KB, USS {front_uss} KB; workers RSS {workers_rss} KB, "
            f"USS {workers_uss} KB"
        )
    for name, slope in slopes.items():
        figures[f"{name}, USS, bytes a request, second half"] = round(slope, 3)
    figures["goal"] = f"no more than {_GOAL_BYTES:g} bytes a request in the second half; no request fails"
    figures["failed"] = max(slopes.values()) > _GOAL_BYTES
    return figures


def slope_bytes(samples: Sequence[Held], kb_of: Callable[[Held], int]) -> float:
    """Return by how many bytes a request memory rises, by least squares; 0 for less than two samples."""
    if len(samples) < 2:
        return 0.0
    line = statistics.linear_regression([each.requests for each in samples], [*map(kb_of, samples)])
    return line.slope * 1024


def held(daemon: Daemon, requests: int) -> Held:
    """Return what a gateway holds now."""
    with urllib.request.urlopen(f"http://127.0.0.1:{daemon.way.port}/status", timeout=10) as answer:
        models = json.load(answer)["models"]
    workers = [memory_kb(pid) for model in models for pid in model["lanes"]["pids"]]
    return Held(
        requests,
        memory_kb(daemon.pid),
        (sum(rss for rss, _ in workers), sum(uss for _, uss in workers)),
    )


def memory_kb(pid: int) -> tuple[int, int]:
    """Return what a process has resident, and how much of that nobody else has (RSS, USS)."""
    return harness.rss_kb(pid), harness.uss_kb(pid)


CASES: dict[str, Callable[..., Figures]] = {"flat": flat}
