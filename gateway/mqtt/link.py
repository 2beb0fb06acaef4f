"""The gateway's two connections to its broker, and how it makes itself known there.

1. *Data* is clean: frames and results. A broker that kept frames for a gateway
   that is away would bury it in old ones on its return.
2. *Control* is persistent: announcements, commands and states are worth keeping.
3. ``<prefix>/<id>/state`` is retained on the broker: ``online`` at each connect
   of control, ``stopped`` after a clean stop, ``offline`` by the broker itself
   (the will) after anything else.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import TracebackType

from gateway.configuration.settings import MqttSettings
from gateway.errors import GatewayError
from gateway.mqtt.connection import Connection
from gateway.mqtt.handshake import Will
from gateway.mqtt.outgoing import Outbox
from gateway.mqtt.state import ConnectionEvents, ConnectionOptions, ConnectionState

DATA = "data"
CONTROL = "control"
FAREWELL_LIMIT_S = 1.0


def _ignore(*_: object) -> None:
    """Stand in for a callback that nobody gave."""


def _nothing() -> Mapping[str, object]:
    return {}


@dataclass(frozen=True, slots=True)
class Identity:
    """Who speaks.

    Attributes:
        id: The gateway's id in topics.
        epoch: Grows with every start; tells a restarted gateway from the same one.
        version: The gateway's version.
        describe: Called at each connect for more JSON fields of the ``online`` state.
    """

    id: str
    epoch: int
    version: str
    describe: Callable[[], Mapping[str, object]] = _nothing


@dataclass(frozen=True, slots=True)
class LinkEvents:
    """As ConnectionEvents, with the connection's name (``data`` or ``control``) first."""

    on_state: Callable[[str, ConnectionState, str], None] = _ignore
    on_drop: Callable[[str, str, str], None] = _ignore
    on_refused: Callable[[str, str, int], None] = _ignore


class Link:
    """Both connections as one asynchronous resource.

    Args:
        settings: Broker, credentials, limits.
        identity: Who speaks.
        events: Callbacks.
        outbox: Where results wait for the broker; a bounded queue in memory by default.

    Attributes:
        data: For frames and results.
        control: For announcements, commands and states.

    Raises:
        ConfigError: The broker's URL or a certificate file cannot be used.
    """

    def __init__(
        self,
        settings: MqttSettings,
        identity: Identity,
        events: LinkEvents | None = None,
        outbox: Outbox | None = None,
    ) -> None:
        self._identity = identity
        self._events = events or LinkEvents()
        self.state_topic = f"{settings.topic_prefix}/{identity.id}/state"
        base = settings.client_id or f"gw-{identity.id}"
        will = Will(self.state_topic, self._say("offline"), qos=1, retain=True)
        self.data = Connection(
            settings, ConnectionOptions(f"{base}-{DATA}", clean=True), self._tagged(DATA), outbox
        )
        self.control = Connection(
            settings, ConnectionOptions(f"{base}-{CONTROL}", clean=False, will=will), self._tagged(CONTROL)
        )

    async def __aenter__(self) -> Link:
        """Begin to connect both; return at once."""
        await self.data.__aenter__()
        await self.control.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def connected(self) -> bool:
        """Whether both connections stand."""
        return self.data.connected and self.control.connected

    async def wait_connected(self, deadline_s: float) -> None:
        """Wait until both connections stand.

        Raises:
            DeadlineExceeded: They did not by ``deadline_s`` (monotonic).
        """
        await self.data.wait_connected(deadline_s)
        await self.control.wait_connected(deadline_s)

    def announce(self) -> None:
        """Publish the ``online`` state; done at each connect, and by whoever changes what it describes."""
        self.control.publish(self.state_topic, self._say("online", self._identity.describe()), 1, retain=True)

    async def close(self) -> None:
        """Say ``stopped``, send what waits, disconnect; takes at most a few seconds. Idempotent."""
        if self.control.connected:
            deadline_s = time.monotonic() + FAREWELL_LIMIT_S
            with contextlib.suppress(GatewayError):  # unsaid, the broker says "offline" in its place
                await self.control.publish_confirmed(
                    self.state_topic, self._say("stopped"), deadline_s, retain=True
                )
        await asyncio.gather(self.data.close(), self.control.close())

    def _tagged(self, name: str) -> ConnectionEvents:
        return ConnectionEvents(
            on_state=partial(self._on_state, name),
            on_drop=partial(self._events.on_drop, name),
            on_refused=partial(self._events.on_refused, name),
        )

    def _on_state(self, name: str, state: ConnectionState, reason: str) -> None:
        if name == CONTROL and state is ConnectionState.ONLINE:
            self.announce()
        self._events.on_state(name, state, reason)

    def _say(self, state: str, more: Mapping[str, object] | None = None) -> bytes:
        identity = self._identity
        said: dict[str, object] = {"state": state, "id": identity.id}
        said |= {"epoch": identity.epoch, "version": identity.version}
        return json.dumps(said | dict(more or {}), ensure_ascii=False, separators=(",", ":")).encode()
