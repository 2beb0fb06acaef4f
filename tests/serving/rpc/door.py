"""A gRPC door before models that compute in memory, for the tests of this folder."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import numpy as np

from gateway.configuration.serving_settings import GrpcSettings, ServingSettings
from gateway.errors import DeadlineQueued, LoadFailed, Malformed, UnknownModel
from gateway.inference.texts import join_bytes
from gateway.operations.events import Level as Severity
from gateway.operations.metrics import Metrics
from gateway.serving.access.gate import Gate
from gateway.serving.access.opening import gate_of
from gateway.serving.call import InferCall, InferReply, OutputTensor
from gateway.serving.model_view import (
    BatchStatistics,
    Duration,
    IndexEntry,
    ModelStatistics,
    ModelView,
    TensorView,
)
from gateway.serving.rpc.inference_service import Behind
from gateway.serving.rpc.server import RpcServer
from gateway.serving.shared_memory.local_regions import LocalRegions

_LIMIT_S = 20.0
ADD = ModelView(
    name="add",
    version="1",
    versions=("1",),
    platform="onnxruntime_onnx",
    inputs=(TensorView("A", "INT32", (-1, 4)), TensorView("B", "INT32", (-1, 4))),
    outputs=(TensorView("SUM", "INT32", (-1, 4), ("w", "x", "y", "z")),),
    max_batch_rows=8,
    lanes=2,
    properties={"digest": "sha256:00"},
)
ECHO = ModelView(
    name="echo",
    version="3",
    versions=("2", "3"),
    platform="tensorflow_lite",
    inputs=(TensorView("IN", "BYTES", (-1,)),),
    outputs=(TensorView("OUT", "BYTES", (-1,)),),
    max_batch_rows=0,
    lanes=1,
    properties={},
)


class InMemory:
    """``Models``, ``Repository`` and ``Health`` of two models that compute at once, and one that waits."""

    def __init__(self) -> None:
        self.views = {"add": ADD, "echo": ECHO, "slow": dataclasses.replace(ECHO, name="slow")}
        self.calls: list[InferCall] = []
        self.cancelled: list[str] = []
        self.waiting: dict[str, asyncio.Event] = {}
        self.released = asyncio.Event()
        self.changed = asyncio.Event()
        self.loads: list[tuple[str, Mapping[str, object]]] = []
        self.live = True
        self.ready = True

    def view(self, name: str, version: str = "") -> ModelView:
        found = self.views.get(name)
        if found is None or version not in ("", *found.versions):
            raise UnknownModel(f"no model is named {name!r}", model=name)
        return found

    def is_ready(self, name: str, version: str = "") -> bool:
        return bool(self.view(name, version))

    def index(self) -> Sequence[IndexEntry]:
        ready = [IndexEntry(name, view.version, "READY") for name, view in sorted(self.views.items())]
        return [*ready, IndexEntry("broken", "", "UNAVAILABLE", "it does not load")]

    def statistics(self, name: str = "", version: str = "") -> Sequence[ModelStatistics]:
        if name:
            self.view(name, version)
        some = Duration(3, 900)
        return [
            ModelStatistics(
                each,
                view.version,
                1_700_000_000_000,
                6,
                3,
                *(some, Duration(1, 5), some, some, some, some),
                (BatchStatistics(2, some),),
            )
            for each, view in sorted(self.views.items())
            if name in ("", each)
        ]

    async def infer(self, call: InferCall) -> InferReply:
        view = self.view(call.model, call.version)
        self.calls.append(call)
        try:
            if call.model == "slow":
                await self._wait(call)
        except asyncio.CancelledError:
            self.cancelled.append(call.id)
            self.changed.set()
            raise
        outputs = self._added(call) if call.model == "add" else self._echoed(call)
        return InferReply(call.model, view.version, call.id, outputs)

    async def _wait(self, call: InferCall) -> None:
        self.changed.set()
        turn = self.waiting.setdefault(call.id, asyncio.Event())
        waiting = asyncio.ensure_future(turn.wait())
        try:
            await asyncio.wait({waiting}, timeout=call.deadline_s - time.monotonic())
            if not turn.is_set():
                raise DeadlineQueued("it waited too long")
        finally:
            waiting.cancel()

    def _added(self, call: InferCall) -> tuple[OutputTensor, ...]:
        given = {tensor.name: tensor for tensor in call.inputs}
        if set(given) != {"A", "B"}:
            raise Malformed(f"model add takes A and B, not {sorted(given)}")
        if any(each.datatype != "INT32" for each in given.values()) or given["A"].shape != given["B"].shape:
            raise Malformed("model add takes two INT32 of one shape")
        arrays = [np.frombuffer(given[name].data, "<i4") for name in ("A", "B")]
        total = (arrays[0] + arrays[1]).reshape(given["A"].shape)
        classes = next((each.classes for each in call.outputs if each.classes), 0)
        if classes:
            order = np.argsort(-total, axis=-1, kind="stable")[:, :classes]
            labels = ADD.outputs[0].labels
            words = [
                b"%d:%d:%s" % (row[at], at, labels[at].encode())
                for row, found in zip(total, order, strict=True)
                for at in found
            ]
            return (OutputTensor("SUM", "BYTES", order.shape, join_bytes(words)),)
        return (OutputTensor("SUM", "INT32", total.shape, memoryview(total.tobytes())),)

    def _echoed(self, call: InferCall) -> tuple[OutputTensor, ...]:
        if len(call.inputs) != 1:
            raise Malformed(f"model {call.model} takes IN")
        (tensor,) = call.inputs
        return (OutputTensor("OUT", tensor.datatype, tensor.shape, bytes(tensor.data)),)

    async def load(self, name: str, parameters: Mapping[str, object]) -> None:
        if name == "broken":
            raise LoadFailed("the file is no model", model=name)
        self.view(name)
        self.loads.append((name, parameters))

    async def unload(self, name: str) -> None:
        self.view(name)
        del self.views[name]

    def is_live(self) -> bool:
        return self.live

    def capacity_bytes(self) -> int:
        return 2**30

    def model_bytes(self, name: str) -> int:
        if name not in {*self.views, "broken"}:
            raise UnknownModel(f"no model is named {name!r}")
        return 1_000_000 + len(name)

    async def until_changed(self) -> None:
        """Wait until a call of ``slow`` began or was cancelled."""
        await self.changed.wait()
        self.changed.clear()


class Level:
    """A log of which nothing but the level is there."""

    level = Severity.INFO

    def set_level(self, level: Severity) -> None:
        self.level = level


class Ready:
    """``Health`` of the models."""

    def __init__(self, models: InMemory) -> None:
        self._models = models

    def is_live(self) -> bool:
        return self._models.live

    def is_ready(self) -> bool:
        return self._models.ready


@dataclasses.dataclass
class Door:
    """What a test gets."""

    server: RpcServer
    models: InMemory
    metrics: Metrics
    gate: Gate
    regions: LocalRegions

    @property
    def address(self) -> str:
        return self.server.address


@contextlib.asynccontextmanager
async def open_door(
    settings: ServingSettings | None = None, *, models: Any = None, mesh: bool = True, **grpc: Any
) -> AsyncIterator[Door]:
    """Serve on a free port of 127.0.0.1, and check that nothing is left when it is closed."""
    before = asyncio.all_tasks()
    settings = settings or ServingSettings()
    listen = {"listen": "127.0.0.1:0", **grpc}
    settings = dataclasses.replace(settings, grpc=dataclasses.replace(GrpcSettings(), **listen))
    metrics = Metrics()
    gate = gate_of(settings, [settings.grpc.listen], metrics)
    inside = models or InMemory()
    regions = LocalRegions(settings.shared_memory)
    behind = Behind(inside, inside, Ready(inside), regions, Level())
    server = RpcServer(behind, settings, gate, metrics.door_requests, inside if mesh else None)
    async with server:
        yield Door(server, inside, metrics, gate, regions)
    assert await settled(before) == set()


async def settled(before: set[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
    """Return the tasks that are left beside ``before`` although they had time to end.

    What ends them may be another thread's to do: gRPC closes its connections in its own.
    """
    left = _beside(before)
    while left and (await asyncio.wait(left, timeout=_LIMIT_S))[0]:
        left = _beside(before)
    return left


def _beside(before: set[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - before - {asyncio.current_task()}
