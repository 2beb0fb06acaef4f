"""Servers of the protocol for the tests of this folder: the gateway's own doors, and a plainer one."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from gateway.configuration.secret import Secret
from gateway.configuration.serving_settings import (
    AccessSettings,
    GrpcSettings,
    ServingSettings,
    SharedMemorySettings,
    TokenSettings,
)
from gateway.operations.metrics import Metrics
from gateway.serving.access.opening import gate_of
from gateway.serving.call import InferCall, OutputTensor
from gateway.serving.door_count import DoorCount
from gateway.serving.listener import Listener
from gateway.serving.model_view import TensorView
from gateway.serving.rest.app import RestApp, RestParts
from gateway.serving.rest.routes import ROUTES
from gateway.serving.rpc.inference_service import Behind
from gateway.serving.rpc.server import RpcServer
from gateway.serving.shared_memory.local_regions import LocalRegions
from tests.serving.rest.rest_house import LevelOnly, Ready, Small, view

TOKEN = "a-token-of-enough-letters"
_LIMIT_S = 30.0


def models() -> Small:
    """Return small models, and one that gives the mean level of a picture's channels."""
    small = Small()
    pixels = TensorView("PIXELS", "UINT8", (-1, 4, 6, 3))
    small.views["mean"] = view("mean", [pixels], [TensorView("MEAN", "FP32", (-1, 3))], 8)
    small.works["mean"] = _mean
    return small


def _mean(call: InferCall) -> tuple[OutputTensor, ...]:
    (tensor,) = call.inputs
    mean = np.frombuffer(tensor.data, np.uint8).reshape(tensor.shape).mean((1, 2), np.float32)
    return (OutputTensor("MEAN", "FP32", mean.shape, mean.tobytes()),)


@dataclasses.dataclass
class Served:
    """Where the doors are.

    Attributes:
        http: URL.
        path: URL of a socket in the file system.
        grpc: URL.
    """

    http: str
    path: str
    grpc: str
    models: Small


@contextlib.contextmanager
def served(folder: Path, *, tls: ssl.SSLContext | None = None, token: str = "") -> Iterator[Served]:
    """Serve in a thread of its own."""
    tokens = (TokenSettings(name="ops", token=Secret(token)),) if token else ()
    settings = ServingSettings(grpc=GrpcSettings(listen="127.0.0.1:0"), access=AccessSettings(tokens=tokens))
    loop, made = asyncio.new_event_loop(), models()
    thread = threading.Thread(target=loop.run_forever, name="served")
    thread.start()
    stack = contextlib.AsyncExitStack()
    try:
        opened = asyncio.run_coroutine_threadsafe(_open(stack, settings, made, folder, tls), loop)
        yield opened.result(_LIMIT_S)
    finally:
        asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result(_LIMIT_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_LIMIT_S)
        loop.close()


async def _open(
    stack: contextlib.AsyncExitStack,
    settings: ServingSettings,
    small: Small,
    folder: Path,
    tls: ssl.SSLContext | None,
) -> Served:
    metrics = Metrics()
    gate = gate_of(settings, ["127.0.0.1:0"], metrics)
    regions = LocalRegions(SharedMemorySettings())
    count = DoorCount("http", {route.action for route in ROUTES}, metrics.door_requests)
    parts = RestParts(small, small, Ready(small), regions, gate, count, LevelOnly())
    app = RestApp(parts, settings)
    http = await stack.enter_async_context(Listener(app, "127.0.0.1:0", None, tls))
    await stack.enter_async_context(Listener(app, f"unix:{folder / 'door'}"))
    rpc = RpcServer(Behind(small, small, Ready(small), regions), settings, gate, metrics.door_requests)
    await stack.enter_async_context(rpc)
    scheme = "https" if tls else "http"
    return Served(f"{scheme}://{http.address}", f"unix:{folder / 'door'}", f"grpc://{rpc.address}", small)


Answer = tuple[int, bytes]


@contextlib.contextmanager
def plain(answer: Callable[[str, str, bytes], Answer]) -> Iterator[str]:
    """Run a server that answers by a function of method, path and body; yield its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._do(b"")

        def do_POST(self) -> None:
            self._do(self.rfile.read(int(self.headers["Content-Length"])))

        def _do(self, body: bytes) -> None:
            status, data = answer(self.command, self.path, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(_LIMIT_S)
        server.server_close()


def json_only(method: str, path: str, body: bytes) -> Answer:
    """Answer as a server without any extension: JSON alone, and an INT32 model that doubles."""
    if path == "/base/v2":
        return 200, b'{"name": "plain", "version": "1", "extensions": []}'
    if not path.startswith("/base/v2/models/double"):
        return 404, b'{"error": "Model nothing not found"}'
    tensor = {"name": "x", "datatype": "INT32", "shape": [-1, 2]}
    if method == "GET":
        return 200, json.dumps({"name": "double", "platform": "", "inputs": [tensor], "outputs": []}).encode()
    (given,) = json.loads(body)["inputs"]
    data = [2 * value for value in given["data"]]
    outputs = [{"name": "y", "datatype": "INT32", "shape": given["shape"], "data": data}]
    return 200, json.dumps({"model_name": "double", "outputs": outputs}).encode()
