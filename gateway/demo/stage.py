"""Starts the demo's processes in order, and knows whether they still run."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from gateway.demo.child import Child
from gateway.demo.http import fetch
from gateway.demo.simulator import GO, HOLD
from gateway.demo.status import Status, read_status
from gateway.errors import DeadlineExceeded, Malformed, Unavailable
from gateway.mqtt.wait import set_by

HOST = "127.0.0.1"
PREFIX = "gw"
GATEWAY = "demo"
BROKER_LIMIT_S = 30.0
WEB_LIMIT_S = 30.0
READY_LIMIT_S = 120.0
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class BrokerInUse:
    """A broker.

    Attributes:
        url: Its address.
        version: Value for ``mqtt.version``.
    """

    url: str
    version: str = "auto"


@dataclass(slots=True)
class Stage:
    """What runs. Mutable.

    Attributes:
        stack: Ends what was started, last first.
        folder: Where logs go.
        port: The gateway's HTTP port; 0 until it is ready.
        children: Processes in the order of their start.
        sent: Frames that each sensor sent so far, by its id.
        held: Sensors that send nothing until they are told to.
        silent: Set once the sensors have sent their last frame.
    """

    stack: AsyncExitStack
    folder: Path
    port: int = 0
    children: list[Child] = field(default_factory=list)
    sent: dict[str, int] = field(default_factory=dict)
    held: frozenset[str] = frozenset()
    silent: asyncio.Event = field(default_factory=asyncio.Event)
    _gateway: Child | None = None
    _sensors: Child | None = None

    async def start_broker(self) -> BrokerInUse:
        """Start a broker for the demo alone.

        Raises:
            Unavailable: It did not start.
            DeadlineExceeded: It did not start in time.
        """
        broker = await self._start("broker", ("-m", "gateway.demo.broker"), listen=True)
        url, version = (await _address(broker, BROKER_LIMIT_S)).split()
        return BrokerInUse(url, version)

    async def start_web(self, folder: Path) -> str:
        """Serve a folder over HTTP; return its address.

        Raises:
            Unavailable: It did not start.
            DeadlineExceeded: It did not start in time.
        """
        web = await self._start("web", ("-m", "gateway.demo.web", str(folder)), listen=True)
        return await _address(web, WEB_LIMIT_S)

    async def start_gateway(
        self, broker: BrokerInUse, config: Path, more: Mapping[str, str] | None = None
    ) -> Child:
        """Start the gateway on ports of the kernel's choice; it is not ready yet.

        Args:
            broker: The broker.
            config: Its configuration file.
            more: Settings of the file to override, by dotted key.
        """
        self.port = 0
        overrides = {
            "gateway.id": GATEWAY,
            "http.listen": f"{HOST}:0",
            "serving.grpc.listen": f"{HOST}:0",
            "log.format": "json",
            "mqtt.topic_prefix": PREFIX,
            "mqtt.url": broker.url,
            "mqtt.version": broker.version,
            **(more or {}),
        }
        settings = [word for key, value in overrides.items() for word in ("--set", f"{key}={value}")]
        self._gateway = await self._start("gateway", ("-m", "gateway", "run", "-c", str(config), *settings))
        return self._gateway

    async def until_ready(self, stop: asyncio.Event) -> bool:
        """Wait until the gateway is ready; False if ``stop`` came first.

        Raises:
            Unavailable: A child ended.
            DeadlineExceeded: It did not become ready in time.
        """
        deadline_s = time.monotonic() + READY_LIMIT_S
        while not await set_by(stop, time.monotonic() + _POLL_S):
            self.check()
            self.port = self.port or (_http_port(self._gateway.log) if self._gateway is not None else 0)
            try:
                code, body = await fetch(HOST, self.port, "/readyz")
            except (Unavailable, Malformed):
                code, body = 0, b""
            if code == 200:
                return True
            if time.monotonic() > deadline_s:
                words = body[:500].decode("utf-8", "replace")
                raise DeadlineExceeded(f"the gateway was not ready within {READY_LIMIT_S:g} s: {words}")
        return False

    async def start_sensors(self, broker: BrokerInUse) -> Child:
        """Start the sensors, and count what they send from now on."""
        command = ("-m", "gateway.demo.simulator", broker.url, broker.version, PREFIX)
        sensors = self._sensors = await self._start("sensors", command, listen=True)
        counting = asyncio.get_running_loop().create_task(self._count(sensors), name="demo.count")
        self.stack.push_async_callback(_cancelled, counting)
        return sensors

    def hold_sensors(self) -> None:
        """Let the sensors send nothing for now; ``held`` says who obeys."""
        if self._sensors is not None:
            self._sensors.tell(HOLD)

    def release_sensors(self) -> None:
        """Let the sensors go on."""
        self.held = frozenset()
        if self._sensors is not None:
            self._sensors.tell(GO)

    async def status(self) -> Status:
        """Ask the gateway.

        Raises:
            Unavailable: It does not answer.
            Malformed: It answers what is no status.
        """
        code, body = await fetch(HOST, self.port, "/status")
        if code != 200:
            raise Unavailable(f"/status answers {code}: {body[:200].decode('utf-8', 'replace')}")
        return read_status(body)

    def check(self) -> None:
        """Do nothing while all children run.

        Raises:
            Unavailable: One has ended; its last words are in the message.
        """
        for child in self.children:
            if child.ended:
                raise child.complaint()

    async def _start(self, name: str, command: tuple[str, ...], *, listen: bool = False) -> Child:
        child = await Child.start(name, command, self.folder, listen=listen)
        self.stack.push_async_callback(child.stop)
        self.children.append(child)
        return child

    async def _count(self, sensors: Child) -> None:
        while line := await sensors.line():
            told = json.loads(line)
            self.sent.update(told["sent"])
            self.held = frozenset(told["held"])
            if told["last"]:
                self.silent.set()
                return


async def _address(child: Child, limit_s: float) -> str:
    """Return the address that a child says once it is there, and what it says beside it.

    Raises:
        Unavailable: It did not start.
        DeadlineExceeded: It did not start in time.
    """
    try:
        line = await asyncio.wait_for(child.line(), limit_s)
    except asyncio.TimeoutError:
        raise DeadlineExceeded(f"{child.name} did not start within {limit_s:g} s") from None
    if b"://" not in line:
        await child.stop()
        raise child.complaint()
    return line.decode().strip()


async def _cancelled(task: asyncio.Task[None]) -> None:
    """End a task and wait for its end: what it reads from is read by others next."""
    task.cancel()
    await asyncio.wait({task})


def _http_port(log: Path) -> int:
    """Return the port that a gateway's log tells; 0 if it tells none yet."""
    for line in log.read_bytes().splitlines(keepends=True):
        if b'"http_listening"' in line and line.endswith(b"\n"):
            return int(json.loads(line)["address"].rpartition(":")[2])
    return 0
