"""Models that compute in the test's own process, a memory door before them, and what it leaves behind."""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from gateway.configuration.serving_settings import AccessSettings, ServingSettings, SharedMemorySettings
from gateway.errors import DeadlineRunning, Malformed, UnknownModel, WrongShape
from gateway.inference.texts import join_bytes, split_bytes
from gateway.mqtt.wait import set_by
from gateway.operations.metrics import Metrics
from gateway.serving.access.gate import Gate
from gateway.serving.access.policy import policy_of
from gateway.serving.call import InferCall, InferReply, OutputTensor
from gateway.serving.door_count import DoorCount
from gateway.serving.model_view import IndexEntry, Models, ModelStatistics, ModelView, TensorView
from gateway.serving.shared_memory.door import MemoryDoor
from gateway.serving.shared_memory.door_connection import METHODS, DoorLimits, DoorParts

Answer = TypeVar("Answer")
_VIEWS = {
    "add": ((("A", "INT32", (-1,)), ("B", "INT32", (-1,))), (("SUM", "INT32", (-1,)),)),
    "mean": ((("IN", "UINT8", (-1,)),), (("MEAN", "FP32", (1,)),)),
    "echo": ((("TEXT", "BYTES", (-1,)),), (("TEXT", "BYTES", (-1,)),)),
    "hold": ((("IN", "UINT8", (-1,)),), (("SUM", "INT32", (1,)),)),
    "broken": ((), ()),
}


class SmallModels:
    """``Models`` that add, average, echo, wait and break.

    Attributes:
        go: Lets every call of ``hold`` end.
        held: Calls of ``hold`` that wait now.
        cancelled: Calls of ``hold`` that were cancelled.
        callers: Who asked.
    """

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.arrived = asyncio.Event()
        self.held = 0
        self.cancelled = 0
        self.callers: list[str] = []

    def view(self, name: str, version: str = "") -> ModelView:
        inputs, outputs = self._known(name, version)
        return ModelView(
            name,
            "1",
            ("1",),
            "tests",
            tuple(TensorView(*each) for each in inputs),
            tuple(TensorView(*each) for each in outputs),
            0,
            1,
            {},
        )

    def is_ready(self, name: str, version: str = "") -> bool:
        self._known(name, version)
        return True

    def index(self) -> Sequence[IndexEntry]:
        return [IndexEntry(name, "1", "READY") for name in sorted(_VIEWS)]

    def statistics(self, name: str = "", version: str = "") -> Sequence[ModelStatistics]:
        return ()

    async def infer(self, call: InferCall) -> InferReply:
        inputs, _ = self._known(call.model, call.version)
        given = [(each.name, each.datatype, len(each.shape)) for each in call.inputs]
        if given != [(name, datatype, len(shape)) for name, datatype, shape in inputs]:
            raise Malformed(f"model {call.model} takes other inputs")
        self.callers.append(call.caller)
        data = {each.name: each.data for each in call.inputs}
        output = await getattr(self, f"_{call.model}")(data, call)
        return InferReply(call.model, "1", call.id, (output,))

    def _known(self, name: str, version: str) -> tuple[Any, Any]:
        if name not in _VIEWS or version not in ("", "1"):
            raise UnknownModel(f"no model is named {name[:40]!r}")
        return _VIEWS[name]

    async def _add(self, data: dict[str, Any], call: InferCall) -> OutputTensor:
        left, right = (np.frombuffer(data[name], np.int32) for name in ("A", "B"))
        if left.shape != right.shape:
            raise WrongShape(f"A has {len(left)} elements, B has {len(right)}")
        return OutputTensor("SUM", "INT32", left.shape, (left + right).tobytes())

    async def _mean(self, data: dict[str, Any], call: InferCall) -> OutputTensor:
        mean = np.frombuffer(data["IN"], np.uint8).mean(dtype=np.float32)
        return OutputTensor("MEAN", "FP32", (1,), mean.tobytes())

    async def _echo(self, data: dict[str, Any], call: InferCall) -> OutputTensor:
        texts = [bytes(each) for each in split_bytes(data["TEXT"], "TEXT")]
        return OutputTensor("TEXT", "BYTES", (len(texts),), join_bytes(texts))

    async def _hold(self, data: dict[str, Any], call: InferCall) -> OutputTensor:
        self.held += 1
        self.arrived.set()
        try:
            if not await set_by(self.go, call.deadline_s):
                raise DeadlineRunning(f"hold was not let go in {call.deadline_s - call.arrived_s:.3f} s")
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.held -= 1
        total = np.frombuffer(data["IN"], np.uint8).sum(dtype=np.int32)
        return OutputTensor("SUM", "INT32", (1,), total.tobytes())

    async def _broken(self, data: dict[str, Any], call: InferCall) -> OutputTensor:
        raise RuntimeError("secret words of a broken model")


def parts(models: Models, access: AccessSettings | None = None, **memory: int) -> DoorParts:
    """Return what stands behind a door."""
    metrics = Metrics()
    access = access or AccessSettings()
    policy = policy_of(access, takes_certificates=False, is_exposed=False)
    settings = ServingSettings(shared_memory=SharedMemorySettings(**memory))  # type: ignore[arg-type]
    count = DoorCount("memory", METHODS, metrics.door_requests)
    return DoorParts(models, Gate(policy, access, metrics.access_refused), count, settings)


class Bench:
    """A door with its models, for one test.

    Attributes:
        models: What answers.
        door: The door, entered.
    """

    def __init__(self, models: SmallModels, door: MemoryDoor) -> None:
        self.models = models
        self.door = door

    async def ask(self, work: Callable[[str], Answer]) -> Answer:
        """Run a client in a thread of its own; it gets the path of the door."""
        return await asyncio.to_thread(work, self.door.path)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Give others turns until something is so; a test that waits in vain fails."""
        end_s = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < end_s, "it never came to be"
            await asyncio.sleep(0.001)


def serve(
    work: Callable[[Bench], Any],
    limits: DoorLimits | None = None,
    access: AccessSettings | None = None,
    **memory: int,
) -> None:
    """Run ``work`` beside a door, and check that no descriptor, mapping, task or file is left of it."""

    async def run(path: str) -> None:
        models = SmallModels()
        door = MemoryDoor(path, parts(models, access, **memory), limits)
        async with door:
            await asyncio.wait_for(work(Bench(models, door)), 60.0)
        assert door.regions == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/door"
        before = open_files()
        asyncio.run(run(path))
        assert open_files() == before
        assert maps() == 0
        assert not Path(path).exists()


def open_files() -> list[str]:
    """Return what this process's descriptors lead to."""
    gc.collect()  # errors that tests look at hold their frames, and these the client's memory
    found = []
    for each in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(each.readlink()))
        except FileNotFoundError:  # the one by which the folder is read
            continue
    return sorted(found)


def maps() -> int:
    """Count this process's mappings of memory that tests hand over: the names begin with ``t-``."""
    return Path("/proc/self/maps").read_text().count("/memfd:t-")
