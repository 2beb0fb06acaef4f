"""One process with four doors to the same models: shared memory, our HTTP, the plainest HTTP, a plain copy.

Usage: memory_peer.py FOLDER. It prints ``ready`` and the ports of both HTTP doors, and ends with its standard
input. The two plain doors do the least that a door can: one copy out of the socket into memory of their own.
"""

from __future__ import annotations

import asyncio
import struct
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from gateway.configuration.serving_settings import AccessSettings, ServingSettings
from gateway.inference.pages import Page
from gateway.operations.log import log
from gateway.operations.malloc import keep_large_buffers
from gateway.operations.metrics import Metrics
from gateway.serving.access.gate import Gate
from gateway.serving.access.policy import policy_of
from gateway.serving.call import InferCall, InferReply, InputTensor, OutputTensor
from gateway.serving.door_count import DoorCount
from gateway.serving.listener import Listener
from gateway.serving.model_view import IndexEntry, ModelStatistics, ModelView
from gateway.serving.rest.app import RestApp, RestParts
from gateway.serving.rest.routes import ROUTES
from gateway.serving.shared_memory.door import MemoryDoor
from gateway.serving.shared_memory.door_connection import METHODS, DoorParts

LENGTH = struct.Struct("<I")
_SCORES = bytes(4000)


class PageModels:
    """Copies an input into a page, as is done for a worker, and answers 1000 scores at once."""

    def __init__(self) -> None:
        self._page = Page("bench-page")

    async def infer(self, call: InferCall) -> InferReply:
        """Copy and answer."""
        self._page.write([call.inputs[0].data])
        return InferReply(call.model, "1", call.id, (OutputTensor("SCORES", "FP32", (1000,), _SCORES),))

    def view(self, name: str, version: str = "") -> ModelView:  # noqa: ARG002
        """Say little."""
        return ModelView(name, "1", ("1",), "bench", (), (), 0, 1, {})

    def is_ready(self, name: str, version: str = "") -> bool:
        """Say yes."""
        return bool(name) and version in ("", "1")

    def index(self) -> Sequence[IndexEntry]:
        """Say nothing."""
        return ()

    def statistics(self, name: str = "", version: str = "") -> Sequence[ModelStatistics]:  # noqa: ARG002
        """Say nothing."""
        return ()


class PlainDoor(asyncio.BufferedProtocol):
    """Takes a body of a known length straight into memory of its own, asks the model, answers."""

    def __init__(self, models: PageModels, *, is_http: bool) -> None:
        self._models = models
        self._is_http = is_http
        self._head = bytearray(65_536)
        self._filled = 0
        self._body: bytearray | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's
        """Return where the next bytes go."""
        target = self._head if self._body is None else self._body
        return memoryview(target)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Take bytes."""
        self._filled += nbytes
        if self._body is None:
            self._begin()
        if self._body is not None and self._filled == len(self._body):
            body, self._body, self._filled = self._body, None, 0
            task = asyncio.get_running_loop().create_task(self._answer(body))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _begin(self) -> None:
        if self._is_http:
            end = self._head.find(b"\r\n\r\n", 0, self._filled) + 4
            if end < 4:
                return
            lines = bytes(self._head[:end]).lower().split(b"\r\n")
            size = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        else:
            if self._filled < LENGTH.size:
                return
            end, (size,) = LENGTH.size, LENGTH.unpack_from(self._head)
        rest = self._filled - end
        self._body = bytearray(size)
        self._body[:rest] = self._head[end : self._filled]
        self._filled = rest

    async def _answer(self, body: bytearray) -> None:
        now_s = time.monotonic()
        tensor = InputTensor("IN", "UINT8", (len(body),), memoryview(body))
        reply = await self._models.infer(InferCall("bench", (tensor,), now_s + 30, now_s))
        data = bytes(reply.outputs[0].data)
        if self._is_http:
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: %d\r\n\r\n"
            self._transport.write(head % len(data) + data)
        else:
            self._transport.write(LENGTH.pack(len(data)) + data)


def parts(models: PageModels) -> DoorParts:
    """Return what stands behind the memory door."""
    metrics, access = Metrics(), AccessSettings()
    gate = Gate(policy_of(access, takes_certificates=False, is_exposed=False), access, metrics.access_refused)
    return DoorParts(models, gate, DoorCount("memory", METHODS, metrics.door_requests), ServingSettings())


class NoRepository:
    """Loads nothing."""

    async def load(self, name: str, parameters: Mapping[str, object]) -> None:
        """Do nothing."""

    async def unload(self, name: str) -> None:
        """Do nothing."""


class Well:
    """Health that never fails."""

    def is_live(self) -> bool:
        """Say yes."""
        return True

    is_ready = is_live


def rest(models: PageModels) -> RestApp:
    """Return the HTTP door's application."""
    behind = parts(models)
    count = DoorCount("http", {route.action for route in ROUTES}, Metrics().door_requests)
    return RestApp(
        RestParts(models, NoRepository(), Well(), None, behind.gate, count, log), ServingSettings()
    )


async def main(folder: str) -> None:
    """Serve until standard input ends."""
    models = PageModels()
    loop = asyncio.get_running_loop()
    http = await loop.create_server(lambda: PlainDoor(models, is_http=True), "127.0.0.1", 0)
    plain = await loop.create_unix_server(lambda: PlainDoor(models, is_http=False), f"{folder}/plain")
    door = Listener(rest(models), "127.0.0.1:0")
    async with MemoryDoor(f"{folder}/memory", parts(models)), door:
        print("ready", http.sockets[0].getsockname()[1], door.address.split(":")[1], flush=True)
        await asyncio.to_thread(sys.stdin.read)
    http.close()
    plain.close()


if __name__ == "__main__":
    keep_large_buffers()
    asyncio.run(main(sys.argv[1]))
