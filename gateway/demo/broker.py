"""The embedded broker in a process of its own: ``python -m gateway.demo.broker``, until SIGTERM.

One line on standard output says where it is: its address, a space, and the
protocol version that it speaks.
"""

from __future__ import annotations

import asyncio
import signal
import sys

from gateway.errors import GatewayError
from gateway.mqtt.embedded import EmbeddedBroker


async def serve() -> None:
    """Serve until SIGTERM.

    Raises:
        Unavailable: It cannot start.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with EmbeddedBroker() as broker:
        print(broker.url, broker.version, flush=True)  # noqa: T201 - read by the demo
        await stop.wait()


def main() -> int:
    """Serve until SIGTERM; return the exit code."""
    try:
        asyncio.run(serve())
    except GatewayError as error:
        print(error.message, file=sys.stderr)  # noqa: T201 - kept by the demo
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
