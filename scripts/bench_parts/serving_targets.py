"""What the serving cases measure: a process, how it is asked, and the gateway as one of them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import harness
from serving_models import Served

from gateway.serving.rpc import protocol

_START_LIMIT_S: Final = 120.0

_CONFIG: Final = """\
gateway: {{id: bench, cache_dir: {cache}}}
mqtt: {{url: "mqtt://127.0.0.1:1"}}
http: {{listen: "127.0.0.1:{http}"}}
log: {{level: warning, format: json}}
serving:
  access: {{concurrent: 4096, connections: 4096}}
  grpc: {{listen: "127.0.0.1:{grpc}"}}
  shared_memory: {{socket: {socket}}}
models:
{models}
"""


@dataclass(frozen=True)
class Way:
    """How one request is made over HTTP, and where gRPC is.

    Attributes:
        port: Of HTTP.
        path: Where to post.
        body: The whole of it.
        headers: What goes with it.
        grpc_port: Of gRPC; 0 for none.
    """

    port: int
    path: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    grpc_port: int = 0


class Process:
    """A server under measurement; a context manager that yields once it answers."""

    def __init__(
        self,
        name: str,
        command: Sequence[object],
        way: Way,
        ready: str,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self.way = way
        self._command = [str(each) for each in command]
        self._ready = ready
        self._environment = {**os.environ, **(environment or {})}
        self._cwd = cwd
        self._folder = tempfile.TemporaryDirectory(prefix="bench-serving-")
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process that was started."""
        assert self.process is not None
        return self.process.pid

    def __enter__(self) -> Process:
        log = Path(self._folder.name) / "log"
        with log.open("wb") as said:
            self.process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdout=said,
                stderr=said,
                cwd=self._cwd,
                start_new_session=True,
            )
        end_s = time.monotonic() + _START_LIMIT_S
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > end_s:
                words = log.read_text(errors="replace")[-600:]
                self.__exit__(None, None, None)
                raise RuntimeError(f"{self.name} does not start: {words}")
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
            with contextlib.suppress(ProcessLookupError):  # its workers, whatever became of them
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._folder.cleanup()

    def _answers(self) -> bool:
        url = f"http://127.0.0.1:{self.way.port}{self._ready}"
        try:
            with urllib.request.urlopen(url, timeout=1):
                return True
        except (OSError, urllib.error.HTTPError):
            return False

    def load(self, *options: str | float) -> dict[str, Any]:
        """Put load on it over HTTP; return what it was like."""
        return self.load_of(self.way, *options)

    def load_of(self, way: Way, *options: str | float) -> dict[str, Any]:
        """Put another kind of request on it."""
        body = Path(self._folder.name) / "body"
        body.write_bytes(way.body)
        command = ["--port", way.port, "--path", way.path, "--body", body]
        for name, value in way.headers.items():
            command += ["--header", f"{name}={value}"]
        return harness.run_json(harness.PARTS / "serving_load.py", *map(str, [*command, *options]))

    def load_rpc(self, message: bytes, *options: str | float) -> dict[str, Any]:
        """Put load on it over gRPC."""
        body = Path(self._folder.name) / "message"
        body.write_bytes(message)
        command = ["--port", self.way.grpc_port, "--body", body, *options]
        return harness.run_json(harness.PARTS / "serving_rpc_load.py", *map(str, command))


class Daemon(Process):
    """The gateway, as ``gateway run`` starts it, with these models on two lanes each.

    The broker is not there: it takes no part in what is measured.
    """

    def __init__(self, models: Sequence[Served], asked: Served, root: Path = harness.ROOT) -> None:
        http, grpc = harness.free_port(), harness.free_port()
        super().__init__("gateway", [], way_to(asked, http, grpc), "/v2/health/ready", cwd=root)
        self.socket = Path(self._folder.name) / "memory"
        path = Path(self._folder.name) / "gateway.yaml"
        lines = "\n".join(f"  {each.name}: {{path: {each.folder}, lanes: 2}}" for each in models)
        cache = harness.ROOT / "var" / "bench-cache"
        path.write_text(_CONFIG.format(cache=cache, http=http, grpc=grpc, socket=self.socket, models=lines))
        self._command = [sys.executable, "-m", "gateway", "run", "-c", str(path)]
        self._environment["PYTHONPATH"] = str(root)

    def way_of(self, served: Served, timeout_us: int = 0) -> Way:
        """Return how another of its models is asked."""
        return way_to(served, self.way.port, self.way.grpc_port, timeout_us)

    def inferences(self, served: Served) -> int:
        """Return how many rows a model has answered."""
        url = f"http://127.0.0.1:{self.way.port}/v2/models/{served.name}/stats"
        with urllib.request.urlopen(url, timeout=10) as answer:
            count: int = json.load(answer)["model_stats"][0]["inference_count"]
        return count


def way_to(served: Served, http: int, grpc: int, timeout_us: int = 0) -> Way:
    """Return how a server of the protocol is asked with binary tensors."""
    body, length = served.body(timeout_us)
    headers = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(length),
    }
    return Way(http, f"/v2/models/{served.name}/infer", body, headers, grpc)


def message_to(served: Served, timeout_us: int = 0) -> bytes:
    """Return the same request for gRPC."""
    request, _ = protocol.methods(protocol.INFERENCE)["ModelInfer"]
    tensor = {"name": served.input, "datatype": served.datatype, "shape": list(served.frame.shape)}
    message = request(model_name=served.name, inputs=[tensor], raw_input_contents=[served.frame.tobytes()])
    if timeout_us:
        message.parameters["timeout"].int64_param = timeout_us
    made: bytes = message.SerializeToString()
    return made
