"""Cases of lanes: what another one costs in memory and time, and what those that serve notice of it."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import harness

from gateway.frames.declaration import Declaration
from gateway.inference.batching import BatchLimits
from gateway.inference.body import ProcessBody
from gateway.inference.dataplane import DataPlane
from gateway.inference.limits import PoolLimits, SchedulerLimits
from gateway.inference.loaded import LoadSpec, PipelineSpec
from gateway.inference.request import InferRequest
from gateway.inference.scheduler import Scheduler
from gateway.operations.kernel_bytes import kernel_bytes
from gateway.operations.restart import RestartLimits
from tests.inference.bench_of_lanes import Seen
from tests.inference.test_division import big_onnx, big_tflite

Figures = dict[str, Any]

_LIMITS = SchedulerLimits(BatchLimits(1, 64), PoolLimits(30.0, 120.0, RestartLimits(0.1, 1.0, 5, 60.0)), 8)
_WINDOW_S = 12.0
_RESIZE_EVERY_S = 1.0
_LOAD = 0.3


def lanes(rounds: int) -> Figures:
    """Memory (PSS) of one and four lanes that divide, and that load each for itself; time to another lane."""
    seen: Figures = {}
    with tempfile.TemporaryDirectory() as folder:
        models = {
            "5_mb_tflite": harness.MODEL,
            "5_mb_onnx": harness.ONNX_FILE.parent,
            "80_mb_onnx_float32": big_onnx(Path(folder) / "onnx"),
            "80_mb_tflite_int8": big_tflite(Path(folder) / "tflite"),
        }
        for name, where in models.items():
            for how, divides in (("divided", True), ("loaded", False)):
                seen[f"{name}_{how}"] = asyncio.run(_cost(where, divides=divides))
    shares = [asyncio.run(_disturbance()) for _ in range(max(1, rounds // 2))]
    seen["p99_while_resizing"] = [f"{with_ms:.1f} ms / {without_ms:.1f} ms" for with_ms, without_ms in shares]
    seen["p99_ratio"] = [round(with_ms / without_ms, 2) for with_ms, without_ms in shares]
    seen["goal"] = "another lane <= 1 s, p99 <= 1.25x, 4 lanes of 80 MB <= 1.6x one"
    return seen


CASES = {"lanes": lanes}


@asynccontextmanager
async def _serving(folder: Path, *, divides: bool) -> AsyncIterator[Scheduler]:
    spec = LoadSpec("model", str(folder), pipelines=(PipelineSpec("main"),))
    scheduler = Scheduler(spec, lanes=1, limits=_LIMITS, observer=Seen())
    if not divides:
        scheduler.pool._divided = ProcessBody  # type: ignore[method-assign,assignment]  # noqa: SLF001
    await scheduler.start()
    try:
        yield scheduler
    finally:
        await scheduler.close()


async def _cost(folder: Path, *, divides: bool) -> str:
    async with _serving(folder, divides=divides) as scheduler:
        pool = scheduler.pool
        took_ms, pss_mb = [], {}
        for count in (1, 2, 3, 4):
            if count > 1:
                began_s = time.perf_counter()
                pool.resize(count)
                while pool.ready < count:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.001)
                took_ms.append((time.perf_counter() - began_s) * 1e3)
            for _ in range(5):
                await asyncio.gather(*(lane.canary(60.0) for lane in pool.lanes))
            rollups = [f"/proc/{lane.pid}/smaps_rollup" for lane in pool.lanes]
            pss_mb[count] = sum(kernel_bytes(path, "Pss") for path in rollups) / 1e6
    ratio = pss_mb[4] / pss_mb[1]
    return (
        f"1: {pss_mb[1]:.0f} MB, 4: {pss_mb[4]:.0f} MB ({ratio:.2f}x), "
        f"another lane {max(took_ms):.0f} ms at most"
    )


async def _disturbance() -> tuple[float, float]:
    """Return p99 in milliseconds with lanes that come and go every second, and without."""
    pictures = _pictures()
    async with _serving(harness.MODEL, divides=True) as scheduler:
        dataplane = DataPlane()
        dataplane.serve("model", scheduler)
        cost_s = await _cost_s(dataplane, pictures)
        interval_s = cost_s / _LOAD
        without = await _window(dataplane, pictures, interval_s)
        resizing = asyncio.ensure_future(_resize(scheduler))
        try:
            during = await _window(dataplane, pictures, interval_s)
        finally:
            resizing.cancel()
    return _p99(during) * 1e3, _p99(without) * 1e3


def _pictures() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        return [Path(name).read_bytes() for name in harness.frames(Path(folder))]


async def _resize(scheduler: Scheduler) -> None:
    for wanted in itertools.cycle((2, 1)):
        scheduler.pool.resize(wanted)
        await asyncio.sleep(_RESIZE_EVERY_S)


async def _cost_s(dataplane: DataPlane, pictures: list[bytes]) -> float:
    took_s = []
    for number in range(20):
        began_s = time.perf_counter()
        await dataplane.infer(_request(pictures[number % len(pictures)]))
        took_s.append(time.perf_counter() - began_s)
    return sorted(took_s)[len(took_s) // 2]


async def _window(dataplane: DataPlane, pictures: list[bytes], interval_s: float) -> list[float]:
    took_s: list[float] = []

    async def ask(picture: bytes) -> None:
        began_s = time.perf_counter()
        await dataplane.infer(_request(picture))
        took_s.append(time.perf_counter() - began_s)

    began_s = time.perf_counter()
    tasks = []
    for number in range(int(_WINDOW_S / interval_s)):
        await asyncio.sleep(max(0.0, began_s + number * interval_s - time.perf_counter()))
        tasks.append(asyncio.ensure_future(ask(pictures[number % len(pictures)])))
    await asyncio.gather(*tasks)
    return took_s


def _request(picture: bytes) -> InferRequest:
    now_s = time.monotonic()
    declared = Declaration(media="image/jpeg").to_json()
    return InferRequest("model", "main", "stream", picture, declared, now_s, now_s + 30.0)


def _p99(took_s: list[float]) -> float:
    return sorted(took_s)[int(len(took_s) * 0.99)]
