"""``gateway serve-blobs``: answers boards that ask for blobs over MQTT, out of a repository or a store."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.exit_codes import ExitCode
from gateway.cli.settings_file import add_config_argument, client_settings
from gateway.configuration.settings import Settings
from gateway.errors import RequestRefused

if TYPE_CHECKING:
    from gateway.updates.transport.responder import BlobResponder

_BLOBS = "blobs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("folder", metavar="DIR", help="a repository, or the model store of a board")
    add_config_argument(parser)
    parser.add_argument("--url", help="broker, instead of mqtt.url of the configuration; MQTT 5 is needed")
    parser.add_argument("--prefix", help="first level of the topics, instead of mqtt.topic_prefix")
    parser.add_argument(
        "--rate", type=float, default=0.0, metavar="BYTES", help="most bytes a second; no bound when left out"
    )


def run(options: argparse.Namespace) -> int:
    """Answer until SIGTERM or Ctrl-C.

    Raises:
        ConfigError: The configuration cannot be read, or is wrong.
        RequestRefused: The folder holds no blobs.
        NotReady: The broker is not there, refuses, or does not speak MQTT 5.
    """
    settings = client_settings(options.config, needs_secrets=True)
    if not (Path(options.folder) / _BLOBS).is_dir():
        raise RequestRefused(f"{options.folder}: no folder {_BLOBS} in it: it is no repository, and no store")
    asyncio.run(_serve(settings, options))
    return ExitCode.OK


async def _serve(settings: Settings, options: argparse.Namespace) -> None:
    from gateway.cli.broker import BrokerLine
    from gateway.mqtt.version import V5
    from gateway.updates.transport.folder import FolderSource
    from gateway.updates.transport.responder import BlobResponder, ServeLimits

    def tell(reason: str) -> None:
        print(f"broker {line.address}: {reason}", file=sys.stderr, flush=True)

    line = BrokerLine(settings.mqtt, "serve-blobs", options.url, tell)
    prefix = options.prefix or settings.mqtt.topic_prefix
    limits = ServeLimits(rate_bytes_s=max(0.0, options.rate))
    responder = BlobResponder(FolderSource(Path(options.folder)), line.connection, prefix, limits)
    async with line.up(settled=True) as connection:
        if connection.version != V5:
            raise line.not_ready("blobs need MQTT 5, and it does not speak it")
        print(f"serving {options.folder}/{_BLOBS} at {line.address}, {prefix}/blob/+/get")
        sys.stdout.flush()
        await _until_told_to_stop(responder)
    served = responder.served
    print(f"{served.answers} answers, {served.answer_bytes} bytes, {served.unknown} unknown", flush=True)


async def _until_told_to_stop(responder: BlobResponder) -> None:
    serving = asyncio.ensure_future(responder.serve())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serving
