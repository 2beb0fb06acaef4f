"""A front end that went through trouble holds no more descriptors and processes than before."""

from __future__ import annotations

import contextlib
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.broker import Broker
from tests.system.pictures import window
from tests.system.running import MODELS, Client, Daemon, subscribed, until

FRAMES = 200
TOPIC = "watch/motion"
CONFIG = """
gateway: {{id: test}}
models:
  motion: {{path: {models}/motion-int8, lanes: {lanes}}}
pipelines:
  moves: {{model: motion, ttl_ms: 20000}}
sensors:
  declared:
    watch:
      streams:
        motion:
          {{topic: watch/motion, media: application/vnd.gateway.tensor, dtype: float32, shape: [100, 6],
            delivery: every, qos: 1}}
      pipelines: [moves]
"""


def _config(lanes: int) -> str:
    return CONFIG.format(models=MODELS, lanes=lanes)


def _held(pid: int) -> Iterator[tuple[str, int]]:
    """Yield the kind (socket, pipe, memfd ...) and the inode of each descriptor of a process."""
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since it was listed
            yield str(entry.readlink()).partition("[")[0], entry.stat().st_ino


def _descriptors(pid: int) -> Counter[str]:
    """Return how many descriptors of each kind a process holds, those of shared pages aside."""
    return Counter(kind for kind, _ in _held(pid) if not kind.startswith("/memfd:"))


def _pages(pid: int) -> int:
    """Return how many shared pages a process holds; one in use has a second descriptor, its mapping's."""
    pages = Counter(inode for kind, inode in _held(pid) if kind.startswith("/memfd:"))
    assert max(pages.values(), default=0) <= 2
    return len(pages)


def _answer(client: Client, frames: int) -> None:
    for number in range(frames):
        client.publish(TOPIC, window(number))
    for _ in range(frames):
        client.result()


def _resize(daemon: Daemon, lanes: int, reloads: int) -> None:
    daemon.config.write_text(_config(lanes))
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_event("config_reloaded", reloads)
    until(lambda: len(daemon.lanes("motion")) == lanes, f"{lanes} lanes")
    until(lambda: _pages(daemon.process.pid) == 2 * lanes, f"two pages for each of {lanes} lanes")
    until(lambda: sorted(daemon.left_behind()) == sorted(daemon.lanes("motion")), "only live workers")


def test_frames_reloads_a_dead_worker_and_a_lost_broker_leave_nothing_open(
    tmp_path: Path, broker: Broker
) -> None:
    with Daemon(tmp_path, _config(2), broker.url) as daemon:
        daemon.ready()
        subscribed(broker, TOPIC)
        pid, lanes = daemon.process.pid, daemon.lanes("motion")
        with Client(broker.port) as client:
            client.subscribe("gw/test/results/#")
            _answer(client, 20)  # and by now the page that was asked for is long closed
            before = _descriptors(pid)
            assert _pages(pid) == 2 * len(lanes) == 4
            _answer(client, FRAMES)
            _resize(daemon, 3, reloads=1)
            _resize(daemon, 2, reloads=2)
            killed = daemon.lanes("motion")[0]
            os.kill(killed, signal.SIGKILL)
            daemon.wait_event("worker_lost", model="motion")
            until(lambda: len(set(daemon.lanes("motion")) - {killed}) == 2, "a new worker")
        broker.kill()
        daemon.wait_event("mqtt_state", connection="data", state="offline")
        broker.start()
        subscribed(broker, TOPIC, 2)
        with Client(broker.port) as client:
            client.subscribe("gw/test/results/#")
            _answer(client, 20)
        with contextlib.suppress(AssertionError):  # what is left over is told below
            until(lambda: not _descriptors(pid) - before)
        assert _descriptors(pid) - before == Counter()
        assert _pages(pid) == 4
        workers = daemon.lanes("motion")
        assert len(workers) == 2
        assert sorted(daemon.left_behind()) == sorted(workers)
        assert daemon.stop() == 0
