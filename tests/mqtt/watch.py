"""What the tests of the MQTT room share: a recorder of events that can be waited for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.configuration.settings import MqttSettings
from gateway.mqtt.connection import Connection
from gateway.mqtt.message import Message
from gateway.mqtt.state import ConnectionEvents, ConnectionOptions, ConnectionState

# Long enough for a loaded machine; every wait ends as soon as its event comes.
LIMIT_S = 20.0


def soon() -> float:
    """Return a deadline that only a failure reaches."""
    return time.monotonic() + LIMIT_S


def settings_for(url: str, **more: object) -> MqttSettings:
    """Return settings with pauses short enough for a test."""
    return MqttSettings(**{"url": url, "reconnect_min_s": 0.02, "reconnect_max_s": 0.1, **more})  # type: ignore[arg-type]


@dataclass
class Watch:
    """Keeps what a connection tells, and wakes whoever waits for it."""

    messages: list[Message] = field(default_factory=list)
    states: list[tuple[ConnectionState, str]] = field(default_factory=list)
    drops: list[tuple[str, str]] = field(default_factory=list)
    refused: list[tuple[str, int]] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def events(self) -> ConnectionEvents:
        """Callbacks that fill this."""
        return ConnectionEvents(self._on_state, self._on_drop, self._on_refused)

    @property
    def payloads(self) -> list[bytes]:
        """Payloads received so far."""
        return [message.payload for message in self.messages]

    def take(self, message: Message) -> None:
        """Note a message; the handler to subscribe with."""
        self.messages.append(message)
        self._changed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until what was told makes ``holds`` true; fail loudly when it never does."""
        deadline_s = soon()
        while not holds():
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), max(0.0, deadline_s - time.monotonic()))
            except asyncio.TimeoutError:
                raise AssertionError(f"never happened; seen: {self}") from None

    async def state(self, state: ConnectionState, times: int = 1) -> None:
        """Wait until a state was entered that often."""
        await self.until(lambda: sum(one is state for one, _ in self.states) >= times)

    def _on_state(self, state: ConnectionState, reason: str) -> None:
        self.states.append((state, reason))
        self._changed.set()

    def _on_drop(self, reason: str, topic: str) -> None:
        self.drops.append((reason, topic))
        self._changed.set()

    def _on_refused(self, filter: str, code: int) -> None:
        self.refused.append((filter, code))
        self._changed.set()


def connect(
    settings: MqttSettings, watch: Watch | None = None, name: str = "client", *, clean: bool = True
) -> Connection:
    """Make a connection whose events go to ``watch``."""
    events = watch.events if watch is not None else None
    return Connection(settings, ConnectionOptions(name, clean=clean), events)
