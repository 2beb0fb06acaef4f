"""A REST door over small models that compute in this process, for the tests of this folder."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gateway.configuration.serving_settings import AccessSettings, ServingSettings, SharedMemorySettings
from gateway.errors import DeadlineQueued, GatewayError, Malformed, UnknownModel, WrongShape
from gateway.inference.texts import join_bytes
from gateway.operations.events import Level
from gateway.operations.metrics import Metrics
from gateway.serving.access.gate import Gate
from gateway.serving.access.policy import Policy
from gateway.serving.asgi import Message
from gateway.serving.call import InferCall, InferReply, InputTensor, OutputTensor
from gateway.serving.datatypes import DATATYPES
from gateway.serving.door_count import DoorCount
from gateway.serving.model_view import (
    BatchStatistics,
    Duration,
    IndexEntry,
    ModelStatistics,
    ModelView,
    TensorView,
)
from gateway.serving.rest.app import RestApp, RestParts
from gateway.serving.rest.routes import ROUTES
from gateway.serving.shared_memory.local_regions import LocalRegions

Work = Callable[[InferCall], tuple[OutputTensor, ...]]


def view(name: str, inputs: Sequence[TensorView], outputs: Sequence[TensorView], rows: int = 0) -> ModelView:
    """Return a model that runs in this process, in two versions."""
    return ModelView(
        name,
        "1",
        ("1", "2-rc.1"),
        "onnxruntime_onnx",
        tuple(inputs),
        tuple(outputs),
        rows,
        2,
        {"engine": "test"},
    )


def _tensor(name: str, values: np.ndarray[Any, Any], datatype: str) -> OutputTensor:
    return OutputTensor(name, datatype, values.shape, values.tobytes())


def _array(tensor: InputTensor) -> np.ndarray[Any, Any]:
    return np.frombuffer(tensor.data, DATATYPES[tensor.datatype].dtype).reshape(tensor.shape)


def _add_sub(call: InferCall) -> tuple[OutputTensor, ...]:
    given = {each.name: each for each in call.inputs}
    if set(given) != {"INPUT0", "INPUT1"}:
        raise WrongShape("add_sub takes INPUT0 and INPUT1")
    left, right = _array(given["INPUT0"]), _array(given["INPUT1"])
    if (
        left.shape != right.shape
        or left.shape[1:] != (16,)
        or left.dtype != np.int32
        or right.dtype != np.int32
    ):
        raise WrongShape("add_sub takes INT32 of [-1, 16]")
    made = (_tensor("OUTPUT0", left + right, "INT32"), _tensor("OUTPUT1", left - right, "INT32"))
    wanted = [each.name for each in call.outputs] or [each.name for each in made]
    return tuple(each for name in wanted for each in made if each.name == name)


def _same(call: InferCall) -> tuple[OutputTensor, ...]:
    if [each.name for each in call.inputs] != ["INPUT0"]:
        raise Malformed("it takes INPUT0")
    (tensor,) = call.inputs
    classes = {each.name: each.classes for each in call.outputs}.get("OUTPUT0", 0)
    if not classes:
        return (OutputTensor("OUTPUT0", tensor.datatype, tensor.shape, bytes(tensor.data)),)
    values = _array(tensor).reshape(-1)
    order = np.argsort(-values, kind="stable")[:classes]
    said = [f"{values[at]:f}:{at}".encode() for at in order]
    return (OutputTensor("OUTPUT0", "BYTES", (len(said),), join_bytes(said)),)


@dataclass
class Small:
    """Models by name: real arithmetic, nothing more. ``slow`` waits until ``release`` is set."""

    views: dict[str, ModelView] = field(default_factory=dict)
    works: dict[str, Work] = field(default_factory=dict)
    calls: list[InferCall] = field(default_factory=list)
    asked: int = 0
    cancelled: int = 0
    fails: GatewayError | Exception | None = None
    is_up: bool = True
    release: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    loaded: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        wide = [TensorView(f"INPUT{at}", "INT32", (-1, 16)) for at in (0, 1)]
        self._add(
            view("add_sub", wide, [TensorView(f"OUTPUT{at}", "INT32", (-1, 16)) for at in (0, 1)], 8),
            _add_sub,
        )
        for name in DATATYPES:
            if name != "BF16":
                shape = (1,) if name == "BYTES" else (-1,)
                tensors = [TensorView("INPUT0", name, shape)], [TensorView("OUTPUT0", name, shape)]
                self._add(view(f"same_{name.lower()}", *tensors), _same)
        self._add(view("slow", wide[:1], [TensorView("OUTPUT0", "INT32", (-1, 16))]), _same)

    def _add(self, model: ModelView, work: Work) -> None:
        self.views[model.name] = model
        self.works[model.name] = work

    def view(self, name: str, version: str = "") -> ModelView:
        found = self.views.get(name)
        if found is None or version not in ("", *found.versions):
            raise UnknownModel(f"no model is named {name[:80]!r}")
        return found

    def is_ready(self, name: str, version: str = "") -> bool:
        self.view(name, version)
        return self.is_up

    def index(self) -> Sequence[IndexEntry]:
        ready = [IndexEntry(name, "1", "READY") for name in sorted(self.views)]
        return [*ready, IndexEntry("zzz", "", "UNAVAILABLE", "unloaded")]

    def statistics(self, name: str = "", version: str = "") -> Sequence[ModelStatistics]:
        names = [self.view(name, version).name] if name else sorted(self.views)
        once = Duration(1, 1000)
        batch = (BatchStatistics(1, once),)
        return [
            ModelStatistics(each, "1", 5, 1, 1, once, Duration(), once, once, once, once, batch)
            for each in names
        ]

    async def infer(self, call: InferCall) -> InferReply:
        self.asked += 1
        self.calls.append(call)
        work = self.works[self.view(call.model, call.version).name]
        if self.fails is not None:
            raise self.fails
        if call.model == "slow":
            await self._wait(call)
        return InferReply(call.model, call.version or "1", call.id, work(call))

    async def _wait(self, call: InferCall) -> None:
        self.begun.set()
        waiting = asyncio.ensure_future(self.release.wait())
        try:
            await asyncio.wait({waiting}, timeout=call.deadline_s - time.monotonic())
            if not waiting.done():
                raise DeadlineQueued("too late")
        except asyncio.CancelledError:
            self.cancelled += 1
            self.left.set()
            raise
        finally:
            waiting.cancel()

    async def load(self, name: str, parameters: Mapping[str, object]) -> None:
        self.view(name)
        self.loaded.append((name, parameters))

    async def unload(self, name: str) -> None:
        self.view(name)

    def is_live(self) -> bool:
        return True


@dataclass
class Ready:
    """Health that the test sets."""

    models: Small

    def is_live(self) -> bool:
        return True

    def is_ready(self) -> bool:
        return self.models.is_up


@dataclass
class LevelOnly:
    """A log of which nothing but the level is seen."""

    level: Level = Level.INFO

    def set_level(self, level: Level) -> None:
        self.level = level


@dataclass(frozen=True)
class Got:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class RestHouse:
    """The door, asked without sockets."""

    def __init__(self, policy: Policy | None = None, **settings: Any) -> None:
        self.models = Small()
        self.metrics = Metrics()
        self.regions = LocalRegions(SharedMemorySettings())
        self.log = LevelOnly()
        self.settings = ServingSettings(**settings)
        gate = Gate(policy or Policy(), AccessSettings(), self.metrics.access_refused)
        count = DoorCount("http", {route.action for route in ROUTES}, self.metrics.door_requests)
        ready = Ready(self.models)
        self.app = RestApp(
            RestParts(self.models, self.models, ready, self.regions, gate, count, self.log), self.settings
        )

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes | Sequence[bytes] = b"",
        headers: Mapping[str, str] | None = None,
        *,
        leaves: asyncio.Event | None = None,
        takes: asyncio.Event | None = None,
        client: str = "127.0.0.1",
    ) -> Got | None:
        """Ask once; None if the door said nothing because the client left.

        ``leaves`` and ``takes`` say when the client is gone, and when it takes its answer's body.
        """
        parts = [body] if isinstance(body, bytes) else list(body)
        messages = [
            {"type": "http.request", "body": part, "more_body": at + 1 < len(parts)}
            for at, part in enumerate(parts)
        ]
        sent: list[Message] = []

        async def receive() -> Message:
            if messages:
                return messages.pop(0)
            await (leaves or asyncio.Event()).wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)
            if takes is not None and message["type"] == "http.response.body":
                await takes.wait()

        given = {"host": "localhost", **(headers or {})}
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "client": (client, 5),
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in given.items()],
        }
        await self.app(scope, receive, send)
        if not sent:
            return None
        start, *rest = sent
        names = {name.decode(): value.decode() for name, value in start["headers"]}
        return Got(start["status"], names, b"".join(message["body"] for message in rest))

    def get(self, method: str, path: str, body: Any = b"", headers: Mapping[str, str] | None = None) -> Got:
        """Ask once, from outside an event loop; a body that is no bytes is sent as JSON."""
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        got = asyncio.run(self.ask(method, path, sent, headers))
        assert got is not None
        return got


LEFT = np.arange(16, dtype="<i4").reshape(1, 16)
INFER = "/v2/models/add_sub/infer"


def wide(name: str, data: Any = None) -> dict[str, Any]:
    """Return an input of sixteen numbers."""
    return {
        "name": name,
        "shape": [1, 16],
        "datatype": "INT32",
        "data": LEFT.tolist() if data is None else data,
    }


def both(**more: Any) -> dict[str, Any]:
    """Return a request to ``add_sub``."""
    return {"inputs": [wide("INPUT0"), wide("INPUT1")], **more}


@asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """Check that no task of what is done inside lives on."""
    before = asyncio.all_tasks()
    yield
    for _ in range(5):
        await asyncio.sleep(0)
    assert asyncio.all_tasks() <= before
