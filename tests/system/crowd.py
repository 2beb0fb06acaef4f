"""Clients of every door that ask without a pause, and note how each of their requests ended."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway.errors import GatewayError
from gateway.serving.rpc import protocol
from gateway.serving.shared_memory.client import MemoryClient
from tests.serving.rpc.requests import add_raw, request
from tests.system.http_leavers import ANSWER_BYTES, INFER, Array, body_of
from tests.system.running import LIMIT_S, Daemon, until

DONE = "done"
HTTP, GRPC, MQTT, MEMORY = "http", "grpc", "mqtt", "memory"
TIMEOUT_US = 50_000_000
_COPIES = {HTTP: 2, GRPC: 2, MQTT: 3, MEMORY: 1}

# Asks for a window; returns its output, or the label of an error.
Ask = Callable[[Array], bytes | str]


class Crowd:
    """Asks over every door until the block is left; every request must have ended by then.

    Args:
        daemon: Who is asked.
        memory: Socket of its memory door.
        broker_port: Where its broker listens.
    """

    def __init__(self, daemon: Daemon, memory: Path, broker_port: int) -> None:
        self.ended: Counter[tuple[str, str]] = Counter()
        """How requests ended, by door: ``done``, a label, or in words what no client should see."""
        self._daemon, self._memory = daemon, memory
        self._frames = np.random.default_rng(3).normal(size=(32, 1, 100, 6)).astype(np.float32)
        self._expected: list[bytes] = []
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._post = Post(broker_port)

    def __enter__(self) -> Crowd:
        with over_http(self._daemon.http) as ask:
            for frame in self._frames:
                found = ask(frame)
                assert isinstance(found, bytes), found
                self._expected.append(found)
        asks: dict[str, Callable[[], AbstractContextManager[Ask]]] = {
            HTTP: lambda: over_http(self._daemon.http),
            GRPC: lambda: over_grpc(self._daemon.grpc),
            MQTT: lambda: contextlib.nullcontext(self._post.ask),
            MEMORY: lambda: over_memory(self._memory),
        }
        for door, copies in _COPIES.items():
            for first in range(copies):
                work = threading.Thread(target=self._go_on, args=(door, asks[door](), first), name=door)
                self._threads.append(work)
                work.start()
        self.goes_on()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        for each in self._threads:
            each.join(2 * LIMIT_S)
        assert not any(each.is_alive() for each in self._threads), "somebody still waits"
        self._post.close()

    def goes_on(self, *without: str, by: int = 10) -> None:
        """Wait until every door, but for some, has given so many results more."""
        doors = [door for door in _COPIES if door not in without]
        before = {door: self.ended[door, DONE] for door in doors}
        until(lambda: all(self.ended[door, DONE] >= before[door] + by for door in doors), f"{doors} go on")

    def labels(self) -> set[str]:
        """Return how requests ended that have no result."""
        return {how for _, how in self.ended} - {DONE}

    def _go_on(self, door: str, asking: AbstractContextManager[Ask], first: int) -> None:
        with asking as ask:
            for number in itertools.count(first):
                if self._over.is_set():
                    return
                self._note(door, ask, number % len(self._frames))

    def _note(self, door: str, ask: Ask, index: int) -> None:
        try:
            found = ask(self._frames[index])
        except Exception as error:  # noqa: BLE001 - whatever no client should see is counted by its words
            found = f"{door}: {type(error).__name__}: {error}"
        if isinstance(found, bytes):
            found = DONE if found == self._expected[index] else "other bits"
        with self._lock:
            self.ended[door, found] += 1


@contextlib.contextmanager
def over_http(address: str) -> Iterator[Ask]:
    """Ask over HTTP, on one connection."""
    connection = http.client.HTTPConnection(address, timeout=LIMIT_S)

    def ask(frame: Array) -> bytes | str:
        json_bytes, body = body_of(frame, timeout=TIMEOUT_US)
        connection.request("POST", INFER, body, {"inference-header-content-length": str(json_bytes)})
        answer = connection.getresponse()
        said = answer.read()
        return said[-ANSWER_BYTES:] if answer.status == 200 else str(json.loads(said)["label"])

    with contextlib.closing(connection):
        yield ask


@contextlib.contextmanager
def over_grpc(address: str) -> Iterator[Ask]:
    """Ask over gRPC, on one channel."""
    channel = grpc.insecure_channel(address)
    call = channel.unary_unary(f"/{protocol.INFERENCE}/ModelInfer")
    kind = protocol.message("inference.ModelInferResponse")

    def ask(frame: Array) -> bytes | str:
        made = request("motion", timeout=TIMEOUT_US)
        add_raw(made, "window", frame, "FP32")
        try:
            found: bytes = kind.FromString(
                call(made.SerializeToString(), timeout=LIMIT_S)
            ).raw_output_contents[0]
        except grpc.RpcError as error:
            return str(dict(error.trailing_metadata() or ())["gateway-error-label"])
        return found

    with channel:
        yield ask


@contextlib.contextmanager
def over_memory(path: Path) -> Iterator[Ask]:
    """Ask over shared memory, on one connection."""
    client = MemoryClient(str(path), LIMIT_S)

    def ask(frame: Array) -> bytes | str:
        try:
            return client.infer("motion", {"window": frame}, timeout_us=TIMEOUT_US)["probabilities"].tobytes()
        except GatewayError as error:
            return error.label

    with client:
        yield ask


class Post:
    """Asks over the broker from any thread, in a session that outlives the broker's stops."""

    def __init__(self, port: int) -> None:
        self._waiting: dict[bytes, queue.SimpleQueue[paho.MQTTMessage]] = {}
        self._numbers = itertools.count()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, "crowd", protocol=paho.MQTTv5)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_message = self._came
        kept = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        kept.SessionExpiryInterval = 600
        subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.connect("127.0.0.1", port, clean_start=False, properties=kept)
        self._client.subscribe("replies/crowd", 1)
        self._client.loop_start()
        assert subscribed.wait(LIMIT_S)

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def ask(self, frame: Array) -> bytes | str:
        """Ask, and wait for the answer."""
        correlation = b"%d" % next(self._numbers)
        mine = self._waiting[correlation] = queue.SimpleQueue()
        json_bytes, body = body_of(frame, timeout=TIMEOUT_US)
        where: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        where.ResponseTopic, where.CorrelationData = "replies/crowd", correlation
        where.UserProperty = ("inference-header-content-length", str(json_bytes))
        self._client.publish("gw/test/v2/models/motion/infer", body, 1, properties=where)
        try:
            answer = mine.get(timeout=LIMIT_S)
        finally:
            del self._waiting[correlation]
        label = dict(getattr(answer.properties, "UserProperty", ())).get("error")
        return str(label) if label else bytes(answer.payload[-ANSWER_BYTES:])

    def _came(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        waiting = self._waiting.get(getattr(message.properties, "CorrelationData", b""))
        if waiting is not None:
            waiting.put(message)
