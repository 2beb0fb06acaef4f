"""Case of loading: what others notice of a model that computes for two seconds before it answers."""

from __future__ import annotations

import http.client
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from serving_load import quantile
from serving_models import Served, carded, made
from serving_targets import Daemon, message_to

from tests.onnx_writer import Graph, node, write

Figures = dict[str, Any]
INIT_S: Final = 2.0
# Requests a second, few enough that nothing waits for anything else while nothing is loaded.
HTTP_RATE: Final = 100
RPC_RATE: Final = 60
CONNECTIONS: Final = 8
_CALM_S: Final = 4.0
_SIDE: Final = 1024
_GOAL_RATIO: Final = 1.25
_GOAL_MS: Final = 50.0


@dataclass(frozen=True)
class Window:
    """A time, in monotonic seconds, and whether a model was being loaded then, and how."""

    what: str
    began_s: float
    ended_s: float

    def of(self, samples: Sequence[tuple[float, float]]) -> list[float]:
        """Return in milliseconds what requests took of which any part lies in it."""
        return sorted(
            took_s * 1e3
            for due_s, took_s in samples
            if due_s < self.ended_s and due_s + took_s > self.began_s
        )


def reload(rounds: int, *, init_s: float = INIT_S, calm_s: float = _CALM_S) -> Figures:
    """Others' p99 and longest wait while a model is loaded, or loaded anew, that takes 2 s for it."""
    with tempfile.TemporaryDirectory(prefix="bench-models-") as place:
        models = made(Path(place))
        slow, products = slow_to_start(Path(place), init_s)
        asked = (models["small"], replace(models["small"], name="second"))
        with Daemon([*asked, slow], asked[0]) as daemon:
            windows, loads = watched(daemon, asked[1], slow.name, rounds, (init_s, calm_s))
    return {"products": products, **said(windows, loads)}


def watched(
    daemon: Daemon, second: Served, slow: str, rounds: int, times_s: tuple[float, float]
) -> tuple[list[Window], dict[str, Any]]:
    """Load and reload a model under load of others; return when that was, and what the loads saw.

    Args:
        daemon: The gateway.
        second: The one that is asked over gRPC.
        slow: The one that is loaded.
        rounds: How often, each way.
        times_s: How long it initialises, and how long nothing is loaded before each time.
    """
    init_s, calm_s = times_s
    repository = f"/v2/repository/models/{slow}"
    windows: list[Window] = []

    def during(what: str, *pages: str) -> None:
        began_s = time.monotonic()
        for page in pages:
            ask(daemon.way.port, f"{repository}/{page}")
        windows.append(Window(what, began_s, time.monotonic()))

    def calm() -> None:
        began_s = time.monotonic()
        time.sleep(calm_s)
        windows.append(Window("calm", began_s, time.monotonic()))

    with ThreadPoolExecutor(2) as clients:
        # As long as all of it takes where processors are busy.
        seconds = calm_s + rounds * (2 * calm_s + 6 * (init_s + 1.0))
        options = ("--seconds", seconds, "--samples")
        loads = {
            "HTTP": clients.submit(daemon.load, *options, "--rate", HTTP_RATE, "--connections", CONNECTIONS),
            "gRPC": clients.submit(daemon.load_rpc, message_to(second), *options, "--rate", RPC_RATE),
        }
        time.sleep(calm_s / 2)  # until both have begun and what is warm is warm
        for _ in range(rounds):
            calm()
            during("reload", "load")
            calm()
            during("load", "unload", "load")
        seen = {door: load.result() for door, load in loads.items()}
    if windows[-1].ended_s > min(load["samples"][-1][0] for load in seen.values()):
        raise RuntimeError("the model was still being loaded when the others' load was over: too busy here")
    return windows, seen


def said(windows: Sequence[Window], loads: dict[str, Any]) -> Figures:
    """Return by door p99 with and without a load, their ratio with its scatter, and the longest wait."""
    figures: Figures = {"failed_requests": sum(load["failed"] for load in loads.values())}
    missed = figures["failed_requests"] > 0
    for door, load in loads.items():
        took = {
            what: [window.of(load["samples"]) for window in windows if window.what == what]
            for what in ("calm", "reload", "load")
        }
        calm = pooled(took["calm"])
        figures[f"{door}, calm"] = words(calm)
        for what in ("reload", "load"):
            found = pooled(took[what])
            ratio = quantile(found, 0.99) / quantile(calm, 0.99)
            rounds = sorted(
                quantile(each, 0.99) / quantile(before, 0.99)
                for before, each in zip(
                    took["calm"][0 if what == "reload" else 1 :: 2], took[what], strict=True
                )
            )
            figures[f"{door}, {what}"] = words(found)
            figures[f"{door}, {what} over calm, p99"] = (
                f"{ratio:.2f}; by rounds {rounds[0]:.2f} to {rounds[-1]:.2f}, "
                f"median {statistics.median(rounds):.2f}"
            )
            missed = missed or ratio > _GOAL_RATIO or found[-1] > _GOAL_MS
    for what in ("reload", "load"):
        spans = [window.ended_s - window.began_s for window in windows if window.what == what]
        figures[f"{what} took, s"] = f"{min(spans):.2f} to {max(spans):.2f}"
    figures["goal"] = f"p99 <= {_GOAL_RATIO} times calm, no request > {_GOAL_MS:g} ms; no request fails"
    return figures | {"failed": missed}


def pooled(parts: Sequence[Sequence[float]]) -> list[float]:
    """Return all of them, in order."""
    return sorted(value for part in parts for value in part)


def words(took_ms: Sequence[float]) -> str:
    """Return what requests took."""
    ordered = list(took_ms)
    shown = ", ".join(f"{name} {quantile(ordered, q):.2f}" for name, q in (("p50", 0.5), ("p99", 0.99)))
    return f"{shown}, longest {ordered[-1]:.1f} ms of {len(ordered)}"


def slow_to_start(folder: Path, init_s: float) -> tuple[Served, int]:
    """Write a model that multiplies matrices while it loads; return it, and how many products it takes."""
    import onnxruntime

    path = folder / "starting" / "model.onnx"
    path.parent.mkdir()
    products = 20
    while True:
        _products(path, products)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        began_s = time.process_time()
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        took_s = time.process_time() - began_s
        if took_s >= init_s:
            carded(path.parent, "x", "float32", [1, 4], "y", [1, 4])
            return Served("starting", path.parent, "x", "FP32", np.ones((1, 4), np.float32)), products
        products = max(products + 1, int(products * 1.05 * init_s / took_s))


def _products(path: Path, count: int) -> None:
    """Write x + the greatest element of a matrix's power, which is constant: reckoned while it is loaded."""
    weights = np.random.default_rng(3).normal(size=(_SIDE, _SIDE)).astype(np.float32) / np.sqrt(_SIDE)
    names = ["w", *(f"power{number}" for number in range(count))]
    nodes = [node("MatMul", [before, "w"], [name]) for before, name in itertools.pairwise(names)]
    nodes += [node("ReduceMax", [names[-1]], ["top"], keepdims=0), node("Add", ["x", "top"], ["y"])]
    ports = ([("x", "float32", (1, 4))], [("y", "float32", (1, 4))])
    write(path, Graph(nodes, *ports, {"w": weights.astype(np.float32)}))


def ask(port: int, page: str) -> None:
    """Give an order of the repository and wait until it is carried out."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    client.request("POST", page, b"{}", {"Content-Type": "application/json"})
    answer = client.getresponse()
    text = answer.read()
    client.close()
    if answer.status != http.client.OK:
        raise RuntimeError(f"{page}: {answer.status} {text[:200]!r}")


CASES: dict[str, Callable[..., Figures]] = {"reload": reload}
