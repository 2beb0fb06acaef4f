"""Processes under measurement: a gateway on a real broker, loads, peers, and what they cost."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PARTS = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))

from gateway.operations.kernel_bytes import kernel_bytes  # noqa: E402 - as below
from tests.broker import Broker  # noqa: E402 - the tree is not installed where parts run
from tests.ports import free_port  # noqa: E402 - the tree is not installed where parts run

MODEL = ROOT / "models" / "efficientnet-lite0-int8"
MODEL_FILE = MODEL / "efficientnet_lite0_int8.tflite"
ONNX_FILE = ROOT / "models" / "efficientnet-lite0-int8-onnx" / "efficientnet_lite0_int8_qdq.onnx"


def frames(
    folder: Path, width: int = 640, height: int = 480, *, quality: int = 90, count: int = 8
) -> list[str]:
    """Write JPEG crops of the demo's photographs and return their paths."""
    from PIL import Image

    names = []
    for number in range(count):
        picture = Image.open(
            ROOT / "gateway/demo/data" / ("chelsea.png", "coffee.png", "astronaut.png")[number % 3]
        )
        picture = picture.convert("RGB")
        inset = 4 * number
        picture = picture.crop((inset, inset, picture.width - inset, picture.height - inset)).resize(
            (width, height)
        )
        path = folder / f"frame-{width}-{number}.jpg"
        picture.save(path, "JPEG", quality=quality)
        names.append(str(path))
    return names


def run_json(*command: str | Path, timeout_s: float = 600.0) -> dict[str, Any]:
    """Run a Python part to its end and return the JSON that it printed."""
    done = subprocess.run(
        [sys.executable, *map(str, command)], stdout=subprocess.PIPE, check=True, timeout=timeout_s
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def bare(names: Sequence[str], processes: int, seconds: float, rate: float = 0.0) -> dict[str, float]:
    """Run the bare loop in several processes at once; rates add up, costs are averaged."""
    start_at = time.monotonic() + 1.5
    command = [sys.executable, PARTS / "bare.py", "--model", MODEL_FILE, "--seconds", seconds, "--rate", rate]
    command += ["--start-at", start_at, "--frames", *names]
    running = [subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE) for _ in range(processes)]
    seen = [json.loads(one.communicate()[0]) for one in running]
    return {
        "rate": sum(one["rate"] for one in seen),
        "cpu_ms": sum(one["cpu_ms"] for one in seen) / processes,
        "p50_ms": sum(one["p50_ms"] for one in seen) / processes,
        "p99_ms": max(one["p99_ms"] for one in seen),
    }


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process has used, all threads, to the nanosecond."""
    total = 0
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def pss_mb(pid: int) -> float:
    """Return the proportional set size of a process."""
    return kernel_bytes(f"/proc/{pid}/smaps_rollup", "Pss") / 1_048_576


def rss_kb(pid: int) -> int:
    """Return the resident memory of a process."""
    return kernel_bytes(f"/proc/{pid}/status", "VmRSS") // 1024


def uss_kb(pid: int) -> int:
    """Return the memory of a process that nobody else has."""
    rollup = f"/proc/{pid}/smaps_rollup"
    return sum(kernel_bytes(rollup, name) for name in ("Private_Clean", "Private_Dirty")) // 1024


def switches(pid: int) -> int:
    """Return how often a process's threads went to sleep by themselves."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches:"):
                total += int(line.split()[1])
    return total


@dataclass
class Gateway:
    """A running gateway."""

    process: subprocess.Popen[bytes]
    port: int
    ready_s: float
    log: Path

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the log events of one name so far."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]

    def get(self, page: str) -> Any:
        """Return a JSON page of its status door."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{page}", timeout=5) as answer:
            return json.load(answer)

    def lanes(self) -> list[int]:
        """Return the process ids of its workers."""
        return [pid for model in self.get("/status")["models"] for pid in model["lanes"]["pids"]]

    def pids(self) -> list[int]:
        """Return the process ids of front end and workers."""
        return [self.process.pid, *self.lanes()]

    def cpu_s(self) -> float:
        """Return the CPU seconds of all its processes."""
        return sum(cpu_s(pid) for pid in self.pids())


CONFIG = """\
gateway: {{id: bench, cache_dir: {cache}}}
mqtt: {{url: "mqtt://127.0.0.1:{broker}"}}
inference: {{crash_limit: 1000}}
http: {{listen: "127.0.0.1:{http}"}}
serving: {{grpc: {{listen: "127.0.0.1:{grpc}"}}}}
log: {{level: info, format: json, interval_s: 0}}
models:
  classifier: {{path: {model}, lanes: {lanes}}}
pipelines:
  classify: {{model: classifier, ttl_ms: {ttl_ms}}}
sensors:
  declared:
{sensors}
"""


@contextlib.contextmanager
def gateway(  # noqa: PLR0913 - a bench says what it varies by keyword
    broker: Broker,
    *,
    lanes: int = 2,
    streams: int = 8,
    ttl_ms: int = 5000,
    model: Path = MODEL,
    delivery: str = "latest",
    more: str = "",
) -> Iterator[Gateway]:
    """Start a gateway whose streams are ``bench/N/frame``; end it on exit."""
    port = free_port()
    stream = "{{frame: {{topic: bench/{n}/frame, media: image/jpeg, delivery: " + delivery + "}}}}"
    sensor = "    cam-{n}: {{streams: " + stream + ", pipelines: [classify]}}"
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder) / "gateway.yaml"
        sensors = "\n".join(sensor.format(n=n) for n in range(streams))
        cache = ROOT / "var" / "bench-cache"
        path.write_text(
            CONFIG.format(
                cache=cache,
                broker=broker.port,
                http=port,
                grpc=free_port(),
                model=model,
                lanes=lanes,
                ttl_ms=ttl_ms,
                sensors=sensors,
            )
            + more
        )
        began_s = time.monotonic()
        log = Path(folder) / "log"
        command = [sys.executable, "-m", "gateway", "run", "-c", str(path)]
        # An installed gateway has its modules compiled.
        compiled = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        with log.open("wb") as errors:
            process = subprocess.Popen(command, cwd=ROOT, stderr=errors, env=compiled)
        try:
            yield Gateway(process, port, _wait_ready(port, process) - began_s, log)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def _wait_ready(port: int, process: subprocess.Popen[bytes]) -> float:
    """Return the moment at which /readyz answered 200."""
    for _ in range(6000):
        if process.poll() is not None:
            raise RuntimeError(f"the gateway ended with code {process.returncode}")
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1),
        ):
            return time.monotonic()
        time.sleep(0.01)
    raise RuntimeError("the gateway was not ready within a minute")


@contextlib.contextmanager
def part(*command: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a Python part that prints ``ready`` (peers that do not are given a second)."""
    process = subprocess.Popen([sys.executable, *map(str, command)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        if "flask" not in str(command[0]):
            process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close() if process.stdout else None


def load(broker: Broker, names: Sequence[str], *options: str | float) -> dict[str, Any]:
    """Run the load generator."""
    return run_json(PARTS / "load.py", "--port", str(broker.port), "--frames", *names, *map(str, options))


def machine() -> dict[str, object]:
    """Return what this was measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.split(":", 1)[1].strip() for line in lines if "model name" in line), os.uname().machine
    )
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "kernel": os.uname().release,
        "python": sys.version.split()[0],
    }
