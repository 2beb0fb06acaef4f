"""``gateway serve-blobs``: answers boards that ask for blobs over MQTT, out of a repository or a store."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import secrets
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.exit_codes import ExitCode
from gateway.cli.settings_file import add_config_argument, client_settings
from gateway.configuration.settings import Settings
from gateway.errors import DeadlineExceeded, NotReady, RequestRefused

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
    if options.url is not None:
        settings = replace(settings, mqtt=replace(settings.mqtt, url=options.url))
    if not (Path(options.folder) / _BLOBS).is_dir():
        raise RequestRefused(f"{options.folder}: no folder {_BLOBS} in it: it is no repository, and no store")
    asyncio.run(_serve(settings, options))
    return ExitCode.OK


async def _serve(settings: Settings, options: argparse.Namespace) -> None:
    from gateway.mqtt.connection import Connection
    from gateway.mqtt.state import ConnectionEvents, ConnectionOptions, ConnectionState
    from gateway.mqtt.version import V5
    from gateway.updates.transport.folder import FolderSource
    from gateway.updates.transport.responder import BlobResponder, ServeLimits

    complaint = ""

    def note(state: ConnectionState, reason: str) -> None:
        nonlocal complaint
        if state in {ConnectionState.OFFLINE, ConnectionState.REFUSED}:
            complaint = reason
            print(f"broker {_shown(settings.mqtt.url)}: {reason}", file=sys.stderr, flush=True)

    client_id = f"gw-serve-blobs-{os.getpid()}-{secrets.token_hex(3)}"
    connection = Connection(
        settings.mqtt, ConnectionOptions(client_id, clean=True), ConnectionEvents(on_state=note)
    )
    prefix = options.prefix or settings.mqtt.topic_prefix
    limits = ServeLimits(rate_bytes_s=max(0.0, options.rate))
    responder = BlobResponder(FolderSource(Path(options.folder)), connection, prefix, limits)
    async with connection:
        try:
            await connection.wait_settled(time.monotonic() + settings.mqtt.connect_timeout_s)
        except DeadlineExceeded as error:
            raise NotReady(f"broker {_shown(settings.mqtt.url)}: {complaint or error.message}") from None
        if connection.version != V5:
            raise NotReady(f"broker {_shown(settings.mqtt.url)}: blobs need MQTT 5, and it does not speak it")
        print(f"serving {options.folder}/{_BLOBS} at {_shown(settings.mqtt.url)}, {prefix}/blob/+/get")
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


def _shown(url: str) -> str:
    """Return the address without what might be a password."""
    head, at, tail = url.rpartition("@")
    return f"{head.partition('://')[0]}://{tail}" if at else url
