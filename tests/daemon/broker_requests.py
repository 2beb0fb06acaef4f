"""A door for requests over a real broker, in front of models that add and echo."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace

from gateway.configuration.settings import Settings
from gateway.daemon.mqtt_requests import MqttRequests, RequestPorts
from gateway.daemon.request_codec import RequestCodec
from gateway.errors import DeadlineQueued, ForbiddenTopic, UnknownModel
from gateway.mqtt.connection import Connection
from gateway.operations.metrics import Metrics
from gateway.serving.broker.request_topic import RequestTopics
from gateway.serving.call import InferCall, InferReply, InputTensor, OutputTensor
from gateway.serving.model_view import IndexEntry, ModelStatistics, ModelView, TensorView
from gateway.serving.rest.infer_words import InferWords
from tests.mqtt.watch import Watch, connect, settings_for, soon

INFER = "gw/porch/v2/models/adder/infer"
REPLIES = "replies/me"


class Adder:
    """Adds one to INT32 elements; holds answers back while told to."""

    def __init__(self) -> None:
        self.calls: list[InferCall] = []
        self.ran: list[InferCall] = []
        self.cancelled = 0
        self.open = asyncio.Event()
        self.open.set()
        self.fault: Exception | None = None
        self.remark = ""

    def view(self, name: str, version: str = "") -> ModelView:
        if name != "adder":
            raise UnknownModel(f"no model is named {name!r}")
        tensor = TensorView("IN", "INT32", (-1,))
        return ModelView(name, "1", ("1",), "", (tensor,), (replace(tensor, name="SUM"),), 0, 1, {})

    def is_ready(self, name: str, version: str = "") -> bool:
        return name == "adder"

    def index(self) -> Sequence[IndexEntry]:
        return ()

    def statistics(self, name: str = "", version: str = "") -> Sequence[ModelStatistics]:
        return ()

    async def infer(self, call: InferCall) -> InferReply:
        if call.model != "adder":
            raise UnknownModel(f"no model is named {call.model!r}")
        self.calls.append(call)
        try:
            left_s = call.deadline_s - asyncio.get_running_loop().time()
            await asyncio.wait_for(self.open.wait(), max(0.0, left_s))
        except asyncio.TimeoutError:
            raise DeadlineQueued("it waited too long") from None
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.fault is not None:
            raise self.fault
        self.ran.append(call)
        outputs = [OutputTensor("SUM", one.datatype, one.shape, _plus_one(one)) for one in call.inputs]
        return InferReply(
            call.model,
            call.version or "1",
            call.id,
            tuple(outputs),
            {"remark": self.remark} if self.remark else {},
        )


def _plus_one(tensor: InputTensor) -> bytes:
    count = len(tensor.data) // 4
    return struct.pack(f"<{count}i", *(value + 1 for value in struct.unpack(f"<{count}i", tensor.data)))


def body(*values: int, **more: object) -> bytes:
    """Return a request in JSON."""
    tensor = {"name": "IN", "datatype": "INT32", "shape": [len(values)], "data": values}
    return json.dumps({"inputs": [tensor], **more}).encode()


@dataclass
class Porch:
    """One gateway's door and somebody who asks at it."""

    adder: Adder
    door: MqttRequests[InferWords]
    client: Connection
    replies: Watch
    metrics: Metrics

    async def answers(self, count: int) -> list[bytes]:
        """Wait until so many answers are there; return all."""
        await self.replies.until(lambda: len(self.replies.messages) >= count)
        return self.replies.payloads

    def count(self, outcome: str) -> float:
        """Return how many requests ended so."""
        return self.metrics.mqtt_requests.at(outcome).value

    def pending(self) -> float:
        """Return how many requests are under way."""
        ((_, count),) = self.metrics.mqtt_requests_pending.values()
        return count

    def refused(self, label: str) -> float:
        """Return how many requests were refused for a reason."""
        return self.metrics.mqtt_requests_refused.at(label).value


async def until(holds: Callable[[], bool]) -> None:
    """Let the loop turn until something holds; fail loudly when it never does."""
    deadline_s = soon()
    while not holds():
        assert asyncio.get_running_loop().time() < deadline_s, "never happened"
        await asyncio.sleep(0.005)


def check_topic(topic: str) -> None:
    """Refuse what no answer may go to, and one topic more."""
    RequestTopics("gw", "porch").check_response(topic)
    if topic == "cameras/door":
        raise ForbiddenTopic("frames come here")


def settings(url: str, *, most: int = 64, **mqtt: object) -> Settings:
    """Return a gateway's settings."""
    made = Settings(mqtt=settings_for(url, **mqtt))
    serving = made.serving
    return replace(made, serving=replace(serving, mqtt=replace(serving.mqtt, max_pending=most)))


@contextlib.asynccontextmanager
async def porch(
    url: str, *, most: int = 64, version: str = "auto", door_url: str = "", name: str = "client"
) -> AsyncIterator[Porch]:
    """Open the door, and a client that is subscribed to its answers."""
    adder, metrics, replies = Adder(), Metrics(), Watch()
    made = settings(door_url or url, most=most, version=version)
    ports = RequestPorts(adder, RequestCodec(made.serving, adder), check_topic, metrics)
    async with (
        MqttRequests(made, "porch", ports) as door,
        connect(settings_for(url, version=version), replies, name) as client,
    ):
        client.subscribe("replies/#", 1, replies.take)
        await client.wait_settled(soon())
        await door.connection.wait_settled(soon())
        yield Porch(adder, door, client, replies, metrics)
