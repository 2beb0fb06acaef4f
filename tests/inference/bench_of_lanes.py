"""A data plane with real workers and a real model, for the tests of this folder."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gateway.configuration.settings import StepSettings
from gateway.errors import GatewayError
from gateway.frames.declaration import Declaration
from gateway.inference.batching import BatchLimits
from gateway.inference.dataplane import DataPlane
from gateway.inference.limits import PoolLimits, SchedulerLimits
from gateway.inference.loaded import LoadSpec, PipelineSpec
from gateway.inference.request import InferRequest, Outcome, Ticket
from gateway.inference.scheduler import Scheduler
from gateway.operations.restart import RestartLimits

ROOT = Path(__file__).parents[2]
PLUGINS = ROOT / "tests" / "plugins"
DECLARED = Declaration(media="application/vnd.gateway.tensor", dtype="float32", shape=(-1, 6)).to_json()
PIPELINE = PipelineSpec(
    "motion", (StepSettings("trouble", {}), StepSettings("window", {"carry": False})), None
)


@dataclass
class Seen:
    """What the scheduler told its observer."""

    ended: list[tuple[Ticket, Outcome]] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    faults: list[int] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    lanes: list[tuple[int, int]] = field(default_factory=list)
    quarantined: list[str] = field(default_factory=list)
    outages: list[str] = field(default_factory=list)

    def request_ended(self, ticket: Ticket, outcome: Outcome) -> None:
        self.ended.append((ticket, outcome))

    def batch_ran(self, model: str, rows: int, took_s: float) -> None:
        self.batches.append(rows)

    def faulted(self, model: str, count: int) -> None:
        self.faults.append(count)

    def worker_lost(self, model: str, pid: int, reason: str, requests: int) -> None:
        self.lost.append(reason)

    def lanes_changed(self, model: str, ready: int, wanted: int) -> None:
        self.lanes.append((ready, wanted))

    def payload_quarantined(self, request: InferRequest, digest: str) -> None:
        self.quarantined.append(digest)

    def caller_failed(self, model: str, error: Exception) -> None:
        self.outages.append(repr(error))

    def out_of_service(self, model: str, error: GatewayError) -> None:
        self.outages.append(error.message)


def spec(model: str = "motion-int8-onnx", pipeline: PipelineSpec = PIPELINE) -> LoadSpec:
    return LoadSpec(pipeline.name, str(ROOT / "models" / model), pipelines=(pipeline,))


@contextlib.asynccontextmanager
async def serving(
    model: str = "motion-int8-onnx",
    *,
    pipeline: PipelineSpec = PIPELINE,
    lanes: int = 1,
    run_timeout_s: float = 5.0,
    crash_limit: int = 50,
) -> AsyncIterator[tuple[DataPlane, Scheduler, Seen]]:
    """A data plane that serves one model, under its pipeline's name; everything is ended on exit."""
    seen = Seen()
    restart = RestartLimits(0.01, 0.1, crash_limit, 60.0)
    scheduler = Scheduler(
        spec(model, pipeline),
        lanes=lanes,
        limits=SchedulerLimits(BatchLimits(8, 256), PoolLimits(run_timeout_s, 60.0, restart)),
        observer=seen,
    )
    await scheduler.start()
    dataplane = DataPlane()
    dataplane.serve(pipeline.name, scheduler)
    try:
        yield dataplane, scheduler, seen
    finally:
        await scheduler.close()


def payload(first: float = 0.0, seed: int = 0) -> bytes:
    """One window of numbers, whose first one tells the trouble step what to do."""
    window = np.random.default_rng(seed).normal(size=(100, 6)).astype(np.float32)
    window[0, 0] = first
    return window.tobytes()


def request(
    data: bytes, stream: str = "s", patience_s: float = 30.0, *, latest: bool = False
) -> InferRequest:
    now_s = time.monotonic()
    return InferRequest("motion", "motion", stream, data, DECLARED, now_s, now_s + patience_s, latest)
