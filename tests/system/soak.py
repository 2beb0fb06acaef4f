"""The gateway in a control group that kills for memory, while demand comes in waves and others take memory.

Its lanes are as dear as lanes can be: 80 MB of weights each, in a runtime with
threads of its own, so that none is shared. Seconds stand for half minutes: the
samples are taken every 0.2 s instead of every 5 s.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.broker import Broker
from tests.inference.test_division import big_onnx
from tests.memory_group import MemoryGroup
from tests.system.running import ROOT, Client, Daemon, subscribed, until

COMPRESSION = 25
LIMIT_BYTES = 900 << 20
HIGH_MARK = 0.85
_MOST_LANES = 5
_ENOUGH_LANES = 3
_DOZE_MS = 40
_STEP_BYTES = 16 << 20
# What somebody else takes stays below the limit by this much: it is not to kill us either.
_MARGIN_BYTES = 40 << 20
_WIDTH = 2236

# Its processors are seen as at rest: those of this machine may be busy with other tests, on which no lane
# would be added, and lanes that doze need none.
_AT_REST = 'mount --bind "$1" /proc/stat && shift && exec "$@"'
_BALLAST = """
import sys
held = []
for line in sys.stdin:
    count, size = int(line), 1 << 20
    del held[count:]
    while len(held) < count:
        held.append(bytearray(b"x") * size)
    print(count, flush=True)
"""


@dataclass
class SoakReport:
    """What a soak saw.

    Attributes:
        waves: Waves of demand and of pressure.
        most_lanes: Most lanes at once.
        oom_kills: Processes of the group that were killed for memory.
        relief_s: By wave, time from the decision to shrink until the memory was below the mark again.
        answered: Results.
        peak_ratio: Greatest share of the limit that was in use.
        lanes_lost: Lanes that ended unasked.
    """

    waves: int = 0
    most_lanes: int = 0
    oom_kills: int = 0
    relief_s: list[float] = field(default_factory=list)
    answered: int = 0
    peak_ratio: float = 0.0
    lanes_lost: int = 0


def config(folder: Path) -> str:
    """Return the configuration of the gateway under pressure."""
    return f"""
gateway: {{id: soak}}
models:
  heavy: {{path: {folder}, threads: 2, lanes: 1, max_lanes: {_MOST_LANES}, max_batch_rows: 1}}
pipelines:
  main:
    model: heavy
    ttl_ms: 400
    preprocess: [tensor]
    postprocess: [doze: {{milliseconds: {_DOZE_MS}}}]
sensors:
  declared:
    probe:
      streams:
        data:
          {{topic: probe/data, media: application/vnd.gateway.tensor, dtype: float32, shape: [1, {_WIDTH}],
            delivery: every}}
      pipelines: [main]
scaling:
  sample_interval_s: 0.2
  high_mark: {HIGH_MARK}
  cooldown_s: 1.2
  idle_s: 5
  reserve_bytes: 33554432
"""


class Ballast:
    """Somebody else in the group, who holds as much memory as it is told."""

    def __init__(self, group: MemoryGroup) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _BALLAST], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        group.add(self._process.pid)
        self._held = 0

    def hold(self, count_bytes: int) -> None:
        """Hold so much, and wait until it is so."""
        assert self._process.stdin
        assert self._process.stdout
        self._held = max(0, count_bytes)
        self._process.stdin.write(f"{self._held >> 20}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline(), "the ballast was killed"

    @property
    def held_bytes(self) -> int:
        """What it holds."""
        return self._held

    def close(self) -> None:
        """End it."""
        self._process.kill()
        with self._process:
            pass


def soak(at: Path, seconds: float) -> SoakReport:
    """Run for ``seconds``, at least one wave; return what was seen."""
    report = SoakReport()
    folder = big_onnx(at / "model")
    group = MemoryGroup(LIMIT_BYTES)
    with (
        group,
        Broker("log_type subscribe") as broker,
        Daemon(at, config(folder), broker.url, before=_at_rest(at), PYTHONPATH=_path()) as daemon,
    ):
        group.add(daemon.process.pid)
        daemon.ready()
        subscribed(broker, "probe/data")
        ballast = Ballast(group)
        try:
            end_s = time.monotonic() + seconds
            while report.waves == 0 or time.monotonic() < end_s:
                _wave(daemon, broker, group, ballast, report)
        finally:
            ballast.close()
        report.oom_kills = group.oom_kills()
        report.lanes_lost = sum(event["event"] == "worker_lost" for event in daemon.events)
        assert daemon.stop() == 0
    return report


def _at_rest(at: Path) -> tuple[list[str], tuple[int, ...]]:
    """Return what to run before the daemon's own arguments, so that no time passes for the processors."""
    (at / "stat").write_bytes(Path("/proc/stat").read_bytes())
    return ["unshare", "-m", "sh", "-c", _AT_REST, "sh", str(at / "stat"), sys.executable], ()


def _wave(daemon: Daemon, broker: Broker, group: MemoryGroup, ballast: Ballast, report: SoakReport) -> None:
    """Let demand rise until lanes were added, take their memory away, give it back, and let demand go."""
    with _demand(broker, report):
        until(lambda: _lanes(daemon)["ready"] >= _ENOUGH_LANES, "more lanes")
        report.most_lanes = max(report.most_lanes, _lanes(daemon)["ready"])
        before = _shrinks(daemon)
        while _shrinks(daemon) == before:
            used = group.used_bytes()
            report.peak_ratio = max(report.peak_ratio, used / LIMIT_BYTES)
            room = (
                used < LIMIT_BYTES * HIGH_MARK + _STEP_BYTES
                and used + _STEP_BYTES < LIMIT_BYTES - _MARGIN_BYTES
            )
            if room and not _starting(daemon):  # whoever takes memory while a lane loads may kill it, not us
                ballast.hold(ballast.held_bytes + _STEP_BYTES)
            time.sleep(0.02)
        decided_s = time.monotonic()
        until(lambda: group.used_bytes() < LIMIT_BYTES * HIGH_MARK, "less memory in use")
        report.relief_s.append(round(time.monotonic() - decided_s, 2))
    ballast.hold(0)
    report.waves += 1


@contextlib.contextmanager
def _demand(broker: Broker, report: SoakReport) -> Iterator[None]:
    """Publish more than the lanes that may be there can answer, until the block ends."""
    over = threading.Event()
    payload = np.zeros((1, _WIDTH), np.float32).tobytes()

    def publish() -> None:
        with Client(broker.port) as client:
            while not over.wait(_DOZE_MS / 1e3 / (2 * _MOST_LANES)):
                client.publish("probe/data", payload, qos=0)

    def count() -> None:
        with Client(broker.port) as client:
            client.subscribe("gw/soak/results/#")
            while not over.is_set():
                with contextlib.suppress(AssertionError):
                    next(client.messages(0.2))
                    report.answered += 1

    threads = [threading.Thread(target=publish), threading.Thread(target=count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _lanes(daemon: Daemon) -> dict[str, int]:
    lanes: dict[str, int] = {m["name"]: m for m in daemon.status()["models"]}["heavy"]["lanes"]
    return lanes


def _starting(daemon: Daemon) -> bool:
    lanes = _lanes(daemon)
    return lanes["ready"] != lanes["wanted"]


def _shrinks(daemon: Daemon) -> int:
    return sum(e["event"] == "lanes_scaled" and e["to"] < e["was"] for e in daemon.events)


def _path() -> str:
    return f"{ROOT / 'tests' / 'plugins'}:{ROOT}"
