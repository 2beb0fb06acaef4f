"""The running daemon and a client of its broker, as the tests of this folder see them: from outside."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.broker import Broker
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "models"
DATA = ROOT / "gateway" / "demo" / "data"
LIMIT_S = float(os.environ.get("TEST_LIMIT_S", "180"))


class Daemon:
    """``gateway run`` in a session of its own; whatever it leaves behind is found."""

    def __init__(
        self,
        folder: Path,
        config: str,
        broker_url: str,
        *overrides: str,
        before: tuple[list[str], tuple[int, ...]] = ([sys.executable], ()),
        **environment: str,
    ) -> None:
        self._before, self._fds = before
        self.config = folder / "gateway.yaml"
        self.config.write_text(config)
        self.http = f"127.0.0.1:{free_port()}"
        self.grpc = f"127.0.0.1:{free_port()}"
        self._overrides = [
            f"mqtt.url={broker_url}",
            f"http.listen={self.http}",
            f"serving.grpc.listen={self.grpc}",
            f"gateway.cache_dir={_cache()}",
        ]
        self._overrides += [
            "log.format=json",
            "mqtt.reconnect_min_s=0.1",
            "mqtt.reconnect_max_s=0.5",
            *overrides,
        ]
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
        self.events: list[dict[str, Any]] = []
        self.marked: list[str] = []
        """Names of the events whose lines began with journald's mark of severity."""
        self._arrived = threading.Condition()

    def __enter__(self) -> Daemon:
        command = [*self._before, "-m", "gateway", "run", "-c", str(self.config)]
        for override in self._overrides:
            command += ["--set", override]
        self.process = subprocess.Popen(
            command,
            cwd=self.config.parent,
            env=self._environment,
            stderr=subprocess.PIPE,
            pass_fds=self._fds,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(LIMIT_S)
        assert self.process.stderr is not None
        self.process.stderr.close()
        if kind is None and self.process.returncode == -signal.SIGKILL:
            # Nobody ends its processes but the kernel, which does so when it has the time.
            with contextlib.suppress(AssertionError):  # what is left over is told below
                until(lambda: not self.left_behind())
        left = self.left_behind()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if kind is None:
            assert not left, f"processes left behind: {left}"

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with contextlib.suppress(ValueError):
                mark = line[:1] == b"<"
                event = json.loads(line[3:] if mark else line)
                if mark:
                    self.marked.append(event["event"])
                with self._arrived:
                    self.events.append(event)
                    self._arrived.notify_all()

    def wait_event(self, name: str, count: int = 1, **fields: object) -> dict[str, Any]:
        """Return the ``count``-th event of this name and fields, waiting for it."""
        end_s = time.monotonic() + LIMIT_S
        with self._arrived:
            while True:
                found = [e for e in self.events if e["event"] == name and fields.items() <= e.items()]
                if len(found) >= count:
                    return found[count - 1]
                left_s = end_s - time.monotonic()
                if left_s <= 0 or (self.process.poll() is not None and not self._reader.is_alive()):
                    raise AssertionError(f"no event {name} {fields} in {self.events}")
                self._arrived.wait(min(left_s, 0.5))

    def ready(self) -> Daemon:
        """Wait until it says that it is ready."""
        self.wait_event("ready")
        return self

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(LIMIT_S)

    def left_behind(self) -> list[int]:
        """Return processes of its session that live on without it."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                    if int(fields[3]) == self.process.pid and fields[0] != "Z":
                        found.append(int(entry.name))
        return [pid for pid in found if pid != self.process.pid]

    def page(self, path: str) -> tuple[int, bytes]:
        """Return status and body of a page of the status door."""
        try:
            with urllib.request.urlopen(f"http://{self.http}{path}", timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def status(self) -> dict[str, Any]:
        """Return /status."""
        page: dict[str, Any] = json.loads(self.page("/status")[1])
        return page

    def drops(self) -> dict[str, int]:
        """Return dropped frames by reason."""
        drops: dict[str, int] = self.status()["drops"]
        return drops

    def sensor(self, sensor_id: str) -> dict[str, Any] | None:
        """Return one sensor of /status."""
        return next((s for s in self.status()["sensors"] if s["id"] == sensor_id), None)

    def lanes(self, model: str) -> list[int]:
        """Return the process ids of a model's workers."""
        models = {m["name"]: m for m in self.status()["models"]}
        pids: list[int] = models[model]["lanes"]["pids"]
        return pids


class Client:
    """A plain MQTT client on its own thread."""

    def __init__(self, port: int, *, version: int = 5, client_id: str = "") -> None:
        protocol = paho.MQTTv5 if version == 5 else paho.MQTTv311
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id, protocol=protocol)
        self._version = version
        self._port = port
        self._inbox: queue.Queue[paho.MQTTMessage] = queue.Queue()
        self._client.on_message = lambda _client, _userdata, message: self._inbox.put(message)

    def __enter__(self) -> Client:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def subscribe(self, topic: str, qos: int = 1) -> None:
        """Subscribe and wait until the broker has answered."""
        done = threading.Event()
        self._client.on_subscribe = lambda *_: done.set()
        self._client.subscribe(topic, qos)
        assert done.wait(LIMIT_S)

    def publish(
        self,
        topic: str,
        payload: bytes | str,
        *,
        qos: int = 1,
        retain: bool = False,
        content_type: str = "",
        expiry_s: int | None = None,
        response_topic: str = "",
        **properties: str,
    ) -> None:
        """Publish, and wait for the broker's PUBACK with QoS 1."""
        known = None
        if self._version == 5:
            known = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            if content_type:
                known.ContentType = content_type
            if expiry_s is not None:
                known.MessageExpiryInterval = expiry_s
            if response_topic:
                known.ResponseTopic = response_topic
            if properties:
                known.UserProperty = list(properties.items())
        sent = self._client.publish(topic, payload, qos, retain, known)
        sent.wait_for_publish(LIMIT_S)

    def messages(self, limit_s: float = LIMIT_S) -> Iterator[paho.MQTTMessage]:
        """Yield messages as they come; fails when none comes within ``limit_s``."""
        while True:
            try:
                yield self._inbox.get(timeout=limit_s)
            except queue.Empty:
                raise AssertionError(f"no message within {limit_s} s") from None

    def result(self, fits: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """Return the next JSON message that fits."""
        for message in self.messages():
            found: dict[str, Any] = json.loads(message.payload)
            if fits(found):
                return found
        raise AssertionError


def until(holds: Callable[[], object], what: str = "it") -> None:
    """Wait until something holds."""
    end_s = time.monotonic() + LIMIT_S
    while not holds():
        if time.monotonic() > end_s:
            raise AssertionError(f"{what} did not hold within {LIMIT_S} s")
        time.sleep(0.02)


def subscribed(broker: Broker, topic: str, times: int = 1) -> None:
    """Wait until the broker has taken a subscription to a topic, or so many; it must log them."""
    ends = f" {topic}"
    until(lambda: sum(line.endswith(ends) for line in broker.log.copy()) >= times, f"subscribed to {topic}")


def _cache() -> Path:
    return ROOT / "var" / "test-cache"
