"""The service behind the doors on real workers and shipped models, for the tests of this folder."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gateway.daemon.service_watch import Role, ServiceWatch
from gateway.errors import UnknownModel
from gateway.inference.batching import BatchLimits
from gateway.inference.dataplane import DataPlane
from gateway.inference.limits import PoolLimits, SchedulerLimits
from gateway.inference.loaded import LoadSpec
from gateway.inference.scheduler import Scheduler
from gateway.operations.restart import RestartLimits
from gateway.serving.call import InferCall, InferReply, InputTensor
from gateway.serving.inferring import Inferring
from gateway.serving.model_view import IndexEntry, ModelStatistics
from gateway.tensor import protocol_name
from tests.inference.bench_of_lanes import ROOT, Seen

CLASSIFIER = "efficientnet-lite0-int8-onnx"
MOTION = "motion-int8-onnx"
SPEECH = "silero-vad"


@dataclass(frozen=True)
class Found:
    """Where a name leads."""

    model: str
    version: str
    scheduler: Scheduler


class Plain:
    """Names lead to models of that name, and to nothing else."""

    def __init__(self, dataplane: DataPlane) -> None:
        self._dataplane = dataplane

    def resolve(self, name: str, version: str, key: str) -> Found:
        scheduler = self._dataplane.serving.get(name)
        if scheduler is None or version not in ("", "1"):
            raise UnknownModel(f"Request for unknown model: no model is named {name!r}")
        return Found(name, version, scheduler)

    async def ready(self, target: Any, deadline_s: float) -> Any:
        return target

    def index(self) -> Sequence[IndexEntry]:
        return [IndexEntry(name, "1", "READY") for name in sorted(self._dataplane.serving)]

    def versions(self, name: str) -> Sequence[str]:
        return ("1",)


@contextlib.asynccontextmanager
async def inferring(*models: str, lanes: int = 1) -> AsyncIterator[tuple[Inferring, DataPlane, Seen]]:
    """Serve shipped models under their folders' names; everything is ended on exit."""
    dataplane, seen = DataPlane(), Seen()
    watches: dict[str, ServiceWatch] = {}
    limits = SchedulerLimits(BatchLimits(8, 256), PoolLimits(5.0, 60.0, RestartLimits(0.01, 0.1, 50, 60.0)))

    def counts_of(name: str, version: str) -> Sequence[ModelStatistics]:
        return [
            watch.counts.statistics(each, "1")
            for each, watch in sorted(watches.items())
            if name in ("", each)
        ]

    async with contextlib.AsyncExitStack() as stack:
        for model in models:
            watch = watches[model] = ServiceWatch(seen)
            watch.role = Role.SERVING
            spec = LoadSpec(model, str(ROOT / "models" / model))
            scheduler = Scheduler(spec, lanes=lanes, limits=limits, observer=watch)
            stack.push_async_callback(scheduler.close)
            await scheduler.start()
            dataplane.serve(model, scheduler)
        yield Inferring(dataplane, Plain(dataplane), counts_of, _none_is_cold), dataplane, seen


def _none_is_cold(name: str) -> Any:
    raise UnknownModel(name)


def call(model: str, *arrays: tuple[str, np.ndarray[Any, Any]], in_s: float = 20.0, **more: Any) -> InferCall:
    """Return a call with these inputs."""
    now_s = time.monotonic()
    inputs = tuple(
        InputTensor(name, protocol_name(array.dtype.name), array.shape, array.tobytes())
        for name, array in arrays
    )
    return InferCall(model, inputs, now_s + in_s, now_s, **more)


def array_of(reply: InferReply, index: int = 0) -> np.ndarray[Any, Any]:
    """Return one output."""
    types = {"FP32": "<f4", "UINT8": "u1", "INT8": "i1", "INT64": "<i8"}
    output = reply.outputs[index]
    return np.frombuffer(output.data, types[output.datatype]).reshape(output.shape)
