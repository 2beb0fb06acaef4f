"""Listens at the broker to what the gateway tells of its updates and of the camera's frames."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

from gateway.configuration.settings import MqttSettings
from gateway.demo.frame_count import Gaps
from gateway.errors import Malformed
from gateway.mqtt.connection import Connection
from gateway.mqtt.message import Message
from gateway.mqtt.state import ConnectionOptions
from gateway.mqtt.wait import set_by
from gateway.updates.reported import Reported, read_reported

CONNECT_LIMIT_S: Final = 15.0
_RING_LIMIT_S: Final = 10.0


class Witness:
    """What was heard so far.

    Args:
        connection: To the broker.
        base: First topic levels of the gateway: prefix and name.
        sensor: Id of the sensor whose results are followed.

    Attributes:
        report: The newest report; None before the first.
        version: Version of the model that gave the newest result; empty before the first.
        results: Results heard.
        gaps: Pauses between them.
        on_event: Told of every event of a rollout.
    """

    def __init__(self, connection: Connection, base: str, sensor: str) -> None:
        self.report: Reported | None = None
        self.version = ""
        self.results = 0
        self.gaps = Gaps()
        self.on_event: Callable[[Mapping[str, Any]], None] = _ignore
        self._connection = connection
        self._models = f"{base}/models"
        self._results = f"{base}/results/{sensor}/+"
        self._changed = asyncio.Event()

    def listen(self) -> None:
        """Take messages from now on."""
        self._connection.subscribe(f"{self._models}/event", 1, self._on_event)
        self._connection.subscribe(f"{self._models}/reported", 1, self._on_reported)
        self._connection.subscribe(self._results, 0, self._on_result)

    async def ring(self, assign_version: int, request_id: str) -> None:
        """Make the gateway look at the repository.

        Raises:
            DeadlineExceeded: The broker did not confirm in time.
        """
        said = {"schema": 1, "assign_version_hint": assign_version, "request_id": request_id}
        deadline_s = time.monotonic() + _RING_LIMIT_S
        await self._connection.publish_confirmed(
            f"{self._models}/desired", json.dumps(said).encode(), deadline_s
        )

    async def until(self, holds: Callable[[], bool], limit_s: float) -> bool:
        """Return whether ``holds`` became true within ``limit_s``; asked at every message.

        Cancel-safe: nothing is held.
        """
        end_s = time.monotonic() + limit_s
        while not holds():
            self._changed.clear()
            if time.monotonic() >= end_s:
                return False
            await set_by(self._changed, end_s)
        return True

    def forget(self) -> None:
        """Take down what the broker would keep of the gateway's reports."""
        self._connection.unsubscribe(f"{self._models}/reported")
        self._connection.publish(f"{self._models}/reported", b"", qos=1, retain=True)

    def _on_event(self, message: Message) -> None:
        said = _read(message.payload)
        if said is not None and not message.retain:
            self.on_event(said)
            self._changed.set()

    def _on_reported(self, message: Message) -> None:
        with contextlib.suppress(Malformed):
            self.report = read_reported(message.payload)
            self._changed.set()

    def _on_result(self, message: Message) -> None:
        said = _read(message.payload)
        model = said.get("model") if said is not None else None
        if isinstance(model, dict):
            self.version = str(model.get("version", ""))
            self.results += 1
            self.gaps.answered(message.received_s)
            self._changed.set()


@contextlib.asynccontextmanager
async def witness(settings: MqttSettings, gateway: str, sensor: str) -> AsyncIterator[Witness]:
    """Yield a witness that is connected; at the end nothing of the gateway's reports is left at the broker.

    Args:
        settings: Broker and first topic level.
        gateway: Name of the gateway.
        sensor: Id of the sensor whose results are followed.

    Raises:
        DeadlineExceeded: The broker is not there.
    """
    async with Connection(settings, ConnectionOptions(f"{gateway}-witness", clean=True)) as connection:
        found = Witness(connection, f"{settings.topic_prefix}/{gateway}", sensor)
        found.listen()
        deadline_s = time.monotonic() + CONNECT_LIMIT_S
        await connection.wait_connected(deadline_s)
        await connection.wait_settled(deadline_s)
        try:
            yield found
        finally:
            found.forget()


def _read(payload: bytes) -> Mapping[str, Any] | None:
    try:
        said = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _ignore(_event: Mapping[str, Any]) -> None:
    """Stand in while nobody wants to know."""
