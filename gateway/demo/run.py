"""The demo: starts broker, gateway and sensors, watches the gateway, ends everything again.

Order of the start: broker, gateway, and once that is ready the sensors; the end
is the reverse. Every child dies with this process, however it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.demo.options import DemoOptions
from gateway.demo.screen import Screen, no_lines
from gateway.demo.second_act import SecondAct, begin_second_act
from gateway.demo.stage import HOST, BrokerInUse, Stage
from gateway.demo.status import Status
from gateway.demo.summary import summary
from gateway.errors import DeadlineExceeded, GatewayError, Unavailable
from gateway.mqtt.wait import set_by

# The last frames' results are still on their way when the sensors fall silent.
SETTLE_S = 0.5
_QUIET_CHECK_S = 0.25


async def run(options: DemoOptions) -> int:
    """Run the demo; return its exit code.

    Raises:
        GatewayError: A part could not be started, or ended on its own.

    Cancel-safe: the children are ended.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with tempfile.TemporaryDirectory(prefix="gateway-demo-") as folder:
        async with contextlib.AsyncExitStack() as stack:
            stage = Stage(stack, Path(folder))
            verdict = await _play(options, stage, stop)
    if verdict is None:
        return 1
    if options.json:
        print(json.dumps(verdict, ensure_ascii=False))  # noqa: T201 - the answer
    return 0 if verdict["ok"] else 1


async def _play(options: DemoOptions, stage: Stage, stop: asyncio.Event) -> dict[str, Any] | None:
    """Return the verdict; None if the user ended the demo before it began."""
    broker = BrokerInUse(options.broker) if options.broker else await stage.start_broker()
    where = _shown(options.broker) if options.broker else "embedded"
    second = await begin_second_act(options.config, stage, broker) if options.update else None
    await stage.start_gateway(broker, options.config, second.settings if second else None)
    _say(f"starting: broker {where}, logs in {stage.folder}")
    if not await stage.until_ready(stop):
        return None
    began_s = time.monotonic()
    sensors = await stage.start_sensors(broker)
    headline = f"gateway demo   broker {where}   http://{HOST}:{stage.port}/status   logs in {stage.folder}"
    async with _playing(second, stop):
        await _watch(options, stage, stop, headline, second.lines if second else no_lines)
    ran_s = time.monotonic() - began_s
    sensors.close_input()
    await set_by(stage.silent, time.monotonic() + SETTLE_S)
    await asyncio.sleep(SETTLE_S)
    stage.check()
    told = summary(await stage.status(), stage.sent, ran_s, where)
    return told if second is None else second.added(told)


@contextlib.asynccontextmanager
async def _playing(second: SecondAct | None, stop: asyncio.Event) -> AsyncIterator[None]:
    """Play the second act meanwhile, if there is one; what is not over at the end stays unfinished.

    Raises:
        GatewayError: The second act could not go on.
    """
    if second is None:
        yield
        return
    task = asyncio.get_running_loop().create_task(second.play(stop), name="demo.second_act")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
    if not task.cancelled():
        task.result()


async def _watch(
    options: DemoOptions,
    stage: Stage,
    stop: asyncio.Event,
    headline: str,
    below: Callable[[int], list[str]],
) -> None:
    """Show the table until the time is over or ``stop`` is set."""
    end_s = time.monotonic() + options.seconds if options.seconds else float("inf")
    screen = None if options.json else Screen(sys.stdout)
    interval_s = _QUIET_CHECK_S if screen is None else screen.interval_s
    with contextlib.closing(screen) if screen is not None else contextlib.nullcontext():
        while time.monotonic() < end_s:
            stage.check()
            if screen is not None and (status := await _now(stage)) is not None:
                screen.show(status, headline, below)
            if await set_by(stop, min(time.monotonic() + interval_s, end_s)):
                break
        if screen is not None and below(1) and (status := await _now(stage)) is not None:
            screen.show(status, headline, below)  # how the last act ended


async def _now(stage: Stage) -> Status | None:
    """Return the gateway's status; None while it is too busy to answer."""
    try:
        return await stage.status()
    except (Unavailable, DeadlineExceeded):
        return None


def main(options: DemoOptions) -> int:
    """Run the demo; return its exit code: 0 every sensor had results, 1 otherwise."""
    try:
        return asyncio.run(run(options))
    except GatewayError as error:
        _say(f"demo: {error.message}")
        return 1


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)  # noqa: T201 - progress, for people


def _shown(url: str) -> str:
    """Return the address without what may be a password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
