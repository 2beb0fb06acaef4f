"""Data planes whose lanes live in one GPU owner, for the tests of this folder."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from gateway.inference.batching import BatchLimits
from gateway.inference.dataplane import DataPlane
from gateway.inference.engines.engine import EngineOptions
from gateway.inference.limits import PoolLimits, SchedulerLimits
from gateway.inference.loaded import LoadSpec
from gateway.inference.owner import GpuOwner, OwnerBody
from gateway.inference.request import InferRequest
from gateway.inference.scheduler import Scheduler
from gateway.operations.restart import RestartLimits
from tests.inference.bench_of_lanes import Seen, request, spec

FAKE = EngineOptions(providers=("FakeExecutionProvider",))


@dataclass
class House:
    """One owner, its schedulers by the name of their model, and all that was seen."""

    owner: GpuOwner
    dataplane: DataPlane
    progress: list[tuple[str, str, float]]
    schedulers: dict[str, Scheduler] = field(default_factory=dict)
    seen: dict[str, Seen] = field(default_factory=dict)

    async def serve(self, spec: LoadSpec, lanes: int = 1, **limits: float) -> Scheduler:
        """Serve one more model with lanes in the owner."""
        scheduler = self.scheduler(spec, lanes, **limits)
        await scheduler.start()
        self.dataplane.serve(spec.name, scheduler)
        return scheduler

    def scheduler(
        self, spec: LoadSpec, lanes: int = 1, *, run_timeout_s: float = 5.0, load_timeout_s: float = 60.0
    ) -> Scheduler:
        restart = RestartLimits(0.01, 0.1, 50, 60.0)
        self.seen[spec.name] = Seen()
        scheduler = self.schedulers[spec.name] = Scheduler(
            spec,
            lanes=lanes,
            limits=SchedulerLimits(BatchLimits(8, 256), PoolLimits(run_timeout_s, load_timeout_s, restart)),
            observer=self.seen[spec.name],
            make_body=lambda spec, limits: OwnerBody(self.owner, spec, limits),
        )
        return scheduler


@contextlib.asynccontextmanager
async def housing() -> AsyncIterator[House]:
    """An owner without lanes; everything is ended on exit."""
    progress: list[tuple[str, str, float]] = []
    owner = GpuOwner(lambda model, what, seconds: progress.append((model, what, seconds)))
    house = House(owner, DataPlane(), progress)
    try:
        yield house
    finally:
        for scheduler in house.schedulers.values():
            await scheduler.close()
        await owner.close()


def named(name: str, options: EngineOptions | None = None, model: str = "motion-int8-onnx") -> LoadSpec:
    """The motion model under another name, on the processor or as ``options`` say."""
    return replace(spec(model), name=name, options=options or EngineOptions())


def asked(name: str, data: bytes, stream: str = "s", patience_s: float = 30.0) -> InferRequest:
    """A request for the model of this name."""
    return request(data, stream, patience_s)._replace(model=name)


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
