"""An MQTT broker inside this process, for trying the gateway out without installing one.

It speaks MQTT 3.1.1, listens on 127.0.0.1 alone, keeps nothing on disk and
asks nobody for a password. It is no broker for a house: use mosquitto there.
"""

from __future__ import annotations

import logging
import socket
from types import TracebackType
from typing import Any

from gateway.errors import Unavailable

START_ATTEMPTS = 5


class EmbeddedBroker:
    """An amqtt broker on a free port of 127.0.0.1 as an asynchronous resource.

    Attributes:
        port: Where it listens; 0 until entered.
        version: Value for ``mqtt.version``. Left to ``auto`` a client loses
            ``mqtt.connect_timeout_s``: amqtt takes the properties in an MQTT 5
            CONNECT for a very long client id and waits for its end.
    """

    version = "3.1.1"

    def __init__(self) -> None:
        self.port = 0
        self._broker: Any = None

    @property
    def url(self) -> str:
        """Address for ``mqtt.url``."""
        return f"mqtt://127.0.0.1:{self.port}"

    async def __aenter__(self) -> EmbeddedBroker:
        """Start it and return once it listens.

        Raises:
            Unavailable: amqtt is not installed, or no port could be had.
        """
        try:
            from amqtt.broker import Broker
            from amqtt.errors import BrokerError
        except ImportError:
            raise Unavailable(
                "the embedded broker needs the package amqtt: install the extra, as in"
                " pip install 'jetson-gateway[demo]', or name a broker of your own"
            ) from None
        _quieten()
        for _ in range(START_ATTEMPTS):
            port = _free_port()
            broker = Broker(_configuration(port))
            try:
                await broker.start()
            except BrokerError:
                continue  # somebody took the port in between
            self.port, self._broker = port, broker
            return self
        raise Unavailable("the embedded broker found no free port on 127.0.0.1")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        broker, self._broker = self._broker, None
        if broker is not None:
            await broker.shutdown()


def _configuration(port: int) -> dict[str, Any]:
    """Name every plugin that is wanted: by default amqtt logs each event and publishes $SYS each 20 s."""
    return {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }


def _quieten() -> None:
    """Let only amqtt's errors through: it warns of every client that leaves without DISCONNECT."""
    for name in ("amqtt", "transitions"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
