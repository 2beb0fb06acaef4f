"""A door for requests over a real broker, in front of models that add and echo."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace

from gateway.configuration.settings import Settings
from gateway.daemon.mqtt_requests import MqttRequests, RequestFrame, RequestPorts
from gateway.errors import DeadlineQueued, ForbiddenTopic, Malformed, UnknownModel
from gateway.mqtt.connection import Connection
from gateway.operations.metrics import Metrics
from gateway.serving.broker.request_topic import RequestTopics
from gateway.serving.call import InferCall, InferReply, InputTensor, OutputTensor
from gateway.serving.model_view import IndexEntry, ModelStatistics, ModelView
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
        raise UnknownModel(f"no model is named {name!r}")

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


class Codec:
    """INT32 tensors in the protocol's two forms: enough of it for the door's own tests."""

    def read(self, body: bytes, header_bytes: int | None, frame: RequestFrame) -> tuple[InferCall, bool]:
        try:
            said = json.loads(body[:header_bytes])
            (tensor,) = said["inputs"]
        except (ValueError, KeyError, TypeError) as error:
            raise Malformed(f"not a request: {error}") from None
        data = (
            struct.pack(f"<{len(tensor['data'])}i", *tensor["data"])
            if header_bytes is None
            else body[header_bytes:]
        )
        inputs = (InputTensor(tensor["name"], "INT32", tuple(tensor["shape"]), data),)
        call = InferCall(
            frame.address.model,
            inputs,
            frame.deadline_s,
            frame.arrived_s,
            version=frame.address.version,
            id=said.get("id", ""),
            caller=frame.caller,
            trace=frame.trace,
        )
        return call, header_bytes is not None

    def write(self, reply: InferReply, asked: bool) -> tuple[bytes, int | None]:
        (output,) = reply.outputs
        said = {"id": reply.id, "parameters": dict(reply.parameters), "version": reply.version}
        if asked:
            head = json.dumps(said).encode()
            return head + bytes(output.data), len(head)
        return json.dumps(
            said | {"data": list(struct.unpack(f"<{len(output.data) // 4}i", output.data))}
        ).encode(), None


def body(*values: int, **more: object) -> bytes:
    """Return a request in JSON."""
    tensor = {"name": "IN", "datatype": "INT32", "shape": [len(values)], "data": values}
    return json.dumps({"inputs": [tensor], **more}).encode()


@dataclass
class Porch:
    """One gateway's door and somebody who asks at it."""

    adder: Adder
    door: MqttRequests[bool]
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
    ports = RequestPorts(adder, Codec(), check_topic, metrics)
    async with (
        MqttRequests(settings(door_url or url, most=most, version=version), "porch", ports) as door,
        connect(settings_for(url, version=version), replies, name) as client,
    ):
        client.subscribe("replies/#", 1, replies.take)
        await client.wait_settled(soon())
        await door.connection.wait_settled(soon())
        yield Porch(adder, door, client, replies, metrics)
