"""Clients of every door that ask, and then leave some of what they asked for; the rest of it stays."""

from __future__ import annotations

import itertools
import queue
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np

from gateway.serving.rpc import protocol
from gateway.serving.shared_memory.client import MemoryClient, Placed
from tests.serving.rpc.requests import add_raw, request
from tests.system.http_leavers import (
    ANSWER_BYTES,
    LONG_US,
    UNTOUCHED,
    Array,
    Base,
    House,
    Http1,
    Http1HalfClosed,
    Http1Reset,
    Http2,
    Http2Gone,
    HttpUnix,
    HttpUnixHalfClosed,
    Leaver,
    SystemMemory,
    body_of,
)
from tests.system.running import LIMIT_S

SHORT_S = 4


class GrpcUnary(Base):
    """gRPC, all calls over one channel; who leaves cancels them."""

    def __init__(self, house: House) -> None:
        super().__init__(house)
        self.channel = self.stack.enter_context(grpc.insecure_channel(house.daemon.grpc))
        self.going: list[Any] = []
        self.staying: list[Any] = []

    @staticmethod
    def message(frame: Array, timeout_us: int = LONG_US) -> bytes:
        """Return a request."""
        made = request("motion", timeout=timeout_us)
        add_raw(made, "window", frame, "FP32")
        data: bytes = made.SerializeToString()
        return data

    def ask(self, frame: Array, *, goes: bool) -> None:
        """Ask in a call of its own."""
        call = self.channel.unary_unary(f"/{protocol.INFERENCE}/ModelInfer")
        (self.going if goes else self.staying).append(call.future(self.message(frame)))

    def leave(self) -> None:
        """Cancel the calls of what goes."""
        for call in self.going:
            assert call.cancel()

    def answers(self) -> list[bytes]:
        """Return what the other calls gave."""
        kind = protocol.message("inference.ModelInferResponse")
        return [kind.FromString(each.result(LIMIT_S)).raw_output_contents[0] for each in self.staying]


class GrpcGone(GrpcUnary):
    """gRPC, two channels; who leaves closes its own."""

    def __init__(self, house: House) -> None:
        super().__init__(house)
        # Channels to one address share a connection unless they are told not to.
        self.goer = grpc.insecure_channel(house.daemon.grpc, [("grpc.use_local_subchannel_pool", 1)])
        self.stack.callback(self.goer.close)

    def ask(self, frame: Array, *, goes: bool) -> None:
        """Ask over one of the channels."""
        if not goes:
            super().ask(frame, goes=False)
            return
        call = self.goer.unary_unary(f"/{protocol.INFERENCE}/ModelInfer")
        self.going.append(call.future(self.message(frame)))

    def leave(self) -> None:
        """Close one channel."""
        self.goer.close()


class GrpcStreams(GrpcUnary):
    """gRPC, two streams over one channel; who leaves cancels one of them."""

    def __init__(self, house: House) -> None:
        super().__init__(house)
        self.gone, self.stayed = self.open(), self.open()
        self.asked = 0

    def open(self) -> tuple[queue.SimpleQueue[bytes | None], Any]:
        """Open a stream; return where its requests go, and what gives its answers."""
        asked: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        call = self.channel.stream_stream(f"/{protocol.INFERENCE}/ModelStreamInfer")
        self.stack.callback(asked.put, None)
        return asked, call(iter(asked.get, None))

    def ask(self, frame: Array, *, goes: bool) -> None:
        """Ask on one of the streams."""
        (self.gone if goes else self.stayed)[0].put(self.message(frame))
        self.asked += not goes

    def leave(self) -> None:
        """Cancel one stream."""
        self.gone[1].cancel()

    def answers(self) -> list[bytes]:
        """Return what came on the other one."""
        kind = protocol.message("inference.ModelStreamInferResponse")
        found = [kind.FromString(each) for each in itertools.islice(self.stayed[1], self.asked)]
        assert not any(each.error_message for each in found)
        return [each.infer_response.raw_output_contents[0] for each in found]


class GrpcStreamTimeout(GrpcStreams):
    """gRPC, one stream, of which some requests are given up by their own timeouts."""

    def __init__(self, house: House) -> None:
        super().__init__(house)
        self.order: list[bool] = []

    def ask(self, frame: Array, *, goes: bool) -> None:
        """Ask on the one stream."""
        self.stayed[0].put(self.message(frame, SHORT_S * 1_000_000 if goes else LONG_US))
        self.order.append(goes)

    def leave(self) -> None:
        """Wait: their time passes."""

    def answers(self) -> list[bytes]:
        """Return what was answered with tensors; the rest was answered with why not."""
        kind = protocol.message("inference.ModelStreamInferResponse")
        found = [kind.FromString(each) for each in itertools.islice(self.stayed[1], len(self.order))]
        words = [each.error_message.partition(":")[0] for each in found]
        assert words == ["deadline.queued" if goes else "" for goes in self.order]
        return [each.infer_response.raw_output_contents[0] for each in found if not each.error_message]


@dataclass
class Held:
    """A call under way at the memory door."""

    client: MemoryClient
    number: int
    into: Placed = field(repr=False)


class MemoryCancel(Base):
    """The memory door, one connection; who leaves cancels single calls."""

    def __init__(self, house: House) -> None:
        super().__init__(house)
        self.client = self.connect()
        self.going: list[Held] = []
        self.staying: list[Held] = []

    def connect(self) -> MemoryClient:
        """Open a connection."""
        return self.stack.enter_context(MemoryClient(str(self.house.folder / "memory"), LIMIT_S))

    def client_for(self, *, goes: bool) -> MemoryClient:
        """Return the connection to ask over."""
        return self.client

    def ask(self, frame: Array, *, goes: bool) -> None:
        """Ask in a call of its own, with regions of its own."""
        client, name = self.client_for(goes=goes), str(len(self.going) + 100 * len(self.staying))
        window = client.share(f"in{name}", 4096).tensor(frame.shape, np.float32)
        window.array[:] = frame
        into = client.share(f"out{name}", 4096).part(0, ANSWER_BYTES)
        into.array[:] = np.frombuffer(UNTOUCHED, np.uint8)
        number = client.submit("motion", {"window": window}, into, timeout_us=LONG_US)
        (self.going if goes else self.staying).append(Held(client, number, into))

    def leave(self) -> None:
        """Cancel the calls of what goes."""
        for each in self.going:
            each.client.cancel(each.number)

    def answers(self) -> list[bytes]:
        """Return what the other calls gave; nothing was written for who left."""
        found = [each.client.receive(each.number)["probabilities"].tobytes() for each in self.staying]
        assert all(each.into.array.tobytes() == UNTOUCHED for each in self.going)
        return found


class MemoryGone(MemoryCancel):
    """The memory door, two connections; who leaves closes its own."""

    def __init__(self, house: House) -> None:
        super().__init__(house)
        self.goer = self.connect()

    def client_for(self, *, goes: bool) -> MemoryClient:
        """Return the connection to ask over."""
        return self.goer if goes else self.client

    def leave(self) -> None:
        """Close one connection."""
        self.goer.close()


class MqttExpiry(Base):
    """Requests over the broker, of which some live for a few seconds only."""

    def __init__(self, house: House) -> None:
        super().__init__(house)
        self.asked: dict[str, bool] = {}
        house.client.subscribe("replies/leaver/#")

    def ask(self, frame: Array, *, goes: bool) -> None:
        """Ask with a topic of its own for the answer."""
        topic = f"replies/leaver/{len(self.asked)}"
        self.asked[topic] = goes
        json_bytes, body = body_of(frame)
        where: dict[str, Any] = {"inference-header-content-length": str(json_bytes)}
        self.house.client.publish(
            "gw/test/v2/models/motion/infer",
            body,
            expiry_s=SHORT_S if goes else LONG_US // 1_000_000,
            response_topic=topic,
            **where,
        )

    def answers(self) -> list[bytes]:
        """Return what was answered with tensors; the rest was answered with why not."""
        came = dict(self._messages())
        assert len(came) == len(self.asked)
        late = {topic for topic, payload in came.items() if b'"label":"deadline.queued"' in payload}
        assert late == {topic for topic, goes in self.asked.items() if goes}
        return [came[topic][-ANSWER_BYTES:] for topic, goes in self.asked.items() if not goes]

    def _messages(self) -> Iterator[tuple[str, bytes]]:
        replies = (each for each in self.house.client.messages() if each.topic.startswith("replies/leaver/"))
        for message in itertools.islice(replies, len(self.asked)):
            yield message.topic, bytes(message.payload)


LEAVERS: list[Callable[[House], Leaver]] = [
    *(Http1, Http1Reset, Http1HalfClosed, HttpUnix, HttpUnixHalfClosed, SystemMemory, Http2, Http2Gone),
    *(GrpcUnary, GrpcGone, GrpcStreams, GrpcStreamTimeout),
    *(MemoryCancel, MemoryGone, MqttExpiry),
]
