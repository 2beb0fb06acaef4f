"""The boards of a group as they report over MQTT, and the doorbell that makes them look."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from gateway.cli.broker import BrokerLine
from gateway.configuration.settings import Settings
from gateway.errors import Malformed
from gateway.mqtt.connection import Connection
from gateway.mqtt.message import Message
from gateway.mqtt.wait import set_by
from gateway.updates.reported import Reported, read_reported

_SCHEMA: Final = 1
_MOST_BOARDS: Final = 100_000
_ONLINE: Final = "online"


class Boards:
    """What is known of boards; filled by the broker's retained messages first, by news after.

    Attributes:
        changed: Set at every news; whoever waits clears it.
    """

    def __init__(self, connection: Connection, prefix: str) -> None:
        self._connection = connection
        self._prefix = prefix
        self._reports: dict[str, Reported] = {}
        self._states: dict[str, str] = {}
        self.changed = asyncio.Event()

    def listen(self) -> None:
        """Take reports and states from now on."""
        self._connection.subscribe(f"{self._prefix}/+/models/reported", 1, self._on_reported)
        self._connection.subscribe(f"{self._prefix}/+/state", 1, self._on_state)

    def online(self, group: str) -> tuple[Reported, ...]:
        """Return the newest report of every board of a group that does not say it is away."""
        return tuple(
            report
            for device, report in sorted(self._reports.items())
            if report.group == group and self._states.get(device, _ONLINE) == _ONLINE
        )

    async def ring(self, group: str, doorbell: bytes, deadline_s: float) -> None:
        """Make the boards of a group look, those that are away when they come back.

        Raises:
            DeadlineExceeded: The broker did not confirm by ``deadline_s`` (monotonic).
            Unavailable: It refused.
        """
        topic = f"{self._prefix}/group/{group}/models/desired"
        await self._connection.publish_confirmed(topic, doorbell, deadline_s, retain=True)

    async def news(self, limit_s: float) -> None:
        """Wait for news, at most ``limit_s``. Cancel-safe."""
        await set_by(self.changed, time.monotonic() + limit_s)
        self.changed.clear()

    def _on_reported(self, message: Message) -> None:
        device = message.topic[len(self._prefix) + 1 :].split("/")[0]
        if not message.payload:
            self._reports.pop(device, None)
            self.changed.set()
            return
        try:
            report = read_reported(message.payload)
        except Malformed:
            return  # one board's garbage must not end the watch of all others
        # The broker's access list binds a topic to its board; what stands in the report is only said.
        if report.device == device and (device in self._reports or len(self._reports) < _MOST_BOARDS):
            self._reports[device] = report
            self.changed.set()

    def _on_state(self, message: Message) -> None:
        device = message.topic[len(self._prefix) + 1 :].split("/")[0]
        state = _state(message.payload)
        if state and (device in self._states or len(self._states) < _MOST_BOARDS):
            self._states[device] = state
            self.changed.set()


@contextlib.asynccontextmanager
async def connected_boards(settings: Settings, url: str | None) -> AsyncIterator[Boards]:
    """Connect to the broker and listen to every board; yields once the broker is there.

    Args:
        settings: Broker and prefix.
        url: Broker, instead of that of the settings.

    Raises:
        ConfigError: The broker's address cannot be used.
        NotReady: It is not there, or refuses.
    """
    line = BrokerLine(settings.mqtt, "push", url)
    boards = Boards(line.connection, settings.mqtt.topic_prefix)
    boards.listen()
    async with line.up():
        yield boards


def doorbell(repository: str, assign_version: int, request_id: str) -> bytes:
    """Return what is rung with: it makes boards look, and has no authority.

    Args:
        repository: What the repository is called; a hint for people.
        assign_version: Version of the assignment that is there now.
        request_id: Echoed in the boards' reports.
    """
    said: Mapping[str, Any] = {
        "schema": _SCHEMA,
        "repo": repository,
        "assign_version_hint": assign_version,
        "request_id": request_id,
    }
    return json.dumps(said, separators=(",", ":"), sort_keys=True).encode()


def new_request_id() -> str:
    """Return an id by which a doorbell is known again."""
    return secrets.token_hex(8)


def _state(payload: bytes) -> str:
    try:
        said = json.loads(payload)
    except (ValueError, RecursionError):
        return ""
    state = said.get("state") if isinstance(said, dict) else None
    return state if isinstance(state, str) else ""
