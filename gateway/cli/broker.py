"""One command's connection to the broker, and one error that says why there is none."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from gateway.configuration.settings import MqttSettings
from gateway.errors import DeadlineExceeded, NotReady
from gateway.mqtt.connection import Connection
from gateway.mqtt.state import ConnectionEvents, ConnectionOptions, ConnectionState


class BrokerLine:
    """A connection that the broker forgets when the command ends; subscribe before it is ``up``.

    Args:
        mqtt: The broker.
        command: What calls, for the client id.
        url: Broker, instead of that of the settings.
        told: Called with the reason whenever the broker is away.

    Attributes:
        connection: The connection itself.
        address: The broker's, without what might be a password.

    Raises:
        ConfigError: The address cannot be used.
    """

    def __init__(
        self,
        mqtt: MqttSettings,
        command: str,
        url: str | None = None,
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._mqtt = mqtt if url is None else replace(mqtt, url=url)
        self._told = told
        self._complaint = ""
        self.address = _shown(self._mqtt.url)
        client_id = f"gw-{command}-{os.getpid()}-{secrets.token_hex(3)}"
        options = ConnectionOptions(client_id, clean=True)
        self.connection = Connection(self._mqtt, options, ConnectionEvents(on_state=self._note))

    @contextlib.asynccontextmanager
    async def up(self, *, settled: bool = False) -> AsyncIterator[Connection]:
        """Yield the connection once the broker is there.

        Args:
            settled: Wait until it has answered every subscription, too.

        Raises:
            NotReady: It is not there, or refuses.
        """
        connection = self.connection
        async with connection:
            wait = connection.wait_settled if settled else connection.wait_connected
            try:
                await wait(time.monotonic() + self._mqtt.connect_timeout_s)
            except DeadlineExceeded as error:
                raise self.not_ready(self._complaint or error.message) from None
            yield connection

    def not_ready(self, why: str) -> NotReady:
        """Return the error that says what is wrong with the broker."""
        return NotReady(f"broker {self.address}: {why}")

    def _note(self, state: ConnectionState, reason: str) -> None:
        if state in {ConnectionState.OFFLINE, ConnectionState.REFUSED}:
            self._complaint = reason
            self._told(reason)


def _shown(url: str) -> str:
    head, at, tail = url.rpartition("@")
    return f"{head.partition('://')[0]}://{tail}" if at else url
