"""A board for tests: it reports what a script says, one step for each doorbell and each release."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

from gateway.configuration.settings import MqttSettings
from gateway.mqtt.connection import Connection
from gateway.mqtt.message import Message
from gateway.mqtt.state import ConnectionOptions
from gateway.updates.reported import (
    Active,
    Candidate,
    LastError,
    Reported,
    ReportedModel,
    reported_bytes,
)

START_LIMIT_S = 30.0


def factory() -> ReportedModel:
    """Return a model on which nothing was installed yet."""
    return ReportedModel(active=Active(answering=True))


def coming(release: int, phase: str = "fetching", percent: float = 50.0) -> ReportedModel:
    """Return a model with a release on its way."""
    return ReportedModel(phase, Active(answering=True), candidate=Candidate(release, phase, percent, 1))


def baking(release: int) -> ReportedModel:
    """Return a model that is being watched."""
    return ReportedModel("baking", Active(release, "ab" * 32, answering=True))


def committed(release: int) -> ReportedModel:
    """Return a model on which a release was committed."""
    return ReportedModel("idle", Active(release, "ab" * 32, answering=True), floor=release)


def rolled_back(release: int) -> ReportedModel:
    """Return a model that went back and will not try again."""
    error = LastError("update.bake", "bake", "3 of 10 requests failed", release)
    return ReportedModel("idle", Active(answering=True), last_error=error, quarantined=(release,))


class ScriptedBoard:
    """Boards on one connection; at each doorbell every board goes through its script.

    Args:
        url: The broker.
        model: The model of all boards.
        scripts: What a board reports after a doorbell, by device; the first entry before any.
        group: Their group.
        obeys: Says for each doorbell, by its payload, whether a device takes part.
    """

    def __init__(
        self,
        url: str,
        model: str,
        scripts: Mapping[str, Sequence[ReportedModel]],
        group: str = "door",
        obeys: Callable[[str, dict[str, object]], bool] = lambda *_: True,
    ) -> None:
        self._url = url
        self._model = model
        self._scripts = scripts
        self._group = group
        self._obeys = obeys
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self.rung: list[dict[str, object]] = []

    def __enter__(self) -> ScriptedBoard:
        self._thread.start()
        assert self._ready.wait(START_LIMIT_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._loop is not None
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        bells: asyncio.Queue[Message] = asyncio.Queue()
        settings = MqttSettings(url=self._url)
        async with Connection(settings, ConnectionOptions("boards", clean=True)) as connection:
            await connection.wait_connected(time.monotonic() + START_LIMIT_S)
            connection.subscribe(f"gw/group/{self._group}/models/desired", 1, bells.put_nowait)
            for device, script in self._scripts.items():
                state = json.dumps({"state": "online", "id": device}).encode()
                await self._confirmed(connection, f"gw/{device}/state", state)
                await self._report(connection, device, script[0], {})
            self._ready.set()
            stopping = asyncio.ensure_future(self._stop.wait())
            while not stopping.done():
                bell = asyncio.ensure_future(bells.get())
                await asyncio.wait({bell, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if not bell.done():
                    bell.cancel()
                    break
                await self._answer(connection, json.loads(bell.result().payload))
            for device in self._scripts:
                await self._confirmed(connection, f"gw/{device}/state", b"")
                await self._confirmed(connection, f"gw/{device}/models/reported", b"")
            await self._confirmed(connection, f"gw/group/{self._group}/models/desired", b"")

    async def _answer(self, connection: Connection, said: dict[str, object]) -> None:
        self.rung.append(said)
        for device, script in self._scripts.items():
            if self._obeys(device, said):
                for model in script[1:]:
                    await self._report(connection, device, model, said)

    async def _report(
        self, connection: Connection, device: str, model: ReportedModel, said: dict[str, object]
    ) -> None:
        report = Reported(
            device, self._group, request_id=str(said.get("request_id", "")), models={self._model: model}
        )
        await self._confirmed(connection, f"gw/{device}/models/reported", reported_bytes(report))

    async def _confirmed(self, connection: Connection, topic: str, payload: bytes) -> None:
        await connection.publish_confirmed(topic, payload, time.monotonic() + START_LIMIT_S, retain=True)
