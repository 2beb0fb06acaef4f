"""``gateway watch``: results as they are published, straight from the broker."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from gateway.cli.broker import BrokerLine
from gateway.cli.exit_codes import ExitCode
from gateway.cli.settings_file import add_config_argument, client_settings
from gateway.configuration.settings import PublishSettings, Settings
from gateway.configuration.template import template_filter
from gateway.demo.words import in_words, printable
from gateway.mqtt.message import Message
from gateway.mqtt.subscriptions import RETAINED_ALWAYS, RETAINED_NEVER

# Results wait here while the terminal is slow; then the oldest goes.
_MOST_WAITING = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_config_argument(parser)
    parser.add_argument("--url", help="broker, instead of mqtt.url of the configuration")
    parser.add_argument("--sensor", metavar="GLOB", default="*", help="only these sensors")
    parser.add_argument("--pipeline", metavar="GLOB", default="*", help="only these pipelines")
    parser.add_argument("--seconds", type=float, metavar="N", help="end after this time")
    parser.add_argument("--count", type=int, metavar="N", help="end after this many results")
    parser.add_argument(
        "--retained", action="store_true", help="show retained results as well, though they are old"
    )
    parser.add_argument("--json", action="store_true", help="print each result as one line of JSON")


def run(options: argparse.Namespace) -> int:
    """Print results until the time is over, enough were seen, or Ctrl-C.

    Raises:
        ConfigError: The configuration cannot be read, or is wrong.
        NotReady: The broker is not there, or refuses.
    """
    settings = client_settings(options.config, needs_secrets=True)
    return asyncio.run(_watch(settings, options))


def result_filters(settings: Settings) -> tuple[str, ...]:
    """Return MQTT filters that match every result that a gateway with these settings publishes."""
    known = {"prefix": settings.mqtt.topic_prefix}
    if settings.gateway.id:
        known["gateway"] = settings.gateway.id
    filters = {
        template_filter(pipeline.publish.topic, known | {"pipeline": name, "model": pipeline.model})
        for name, pipeline in settings.pipelines.items()
    }
    return tuple(sorted(filters)) or (template_filter(PublishSettings().topic, known),)


async def _watch(settings: Settings, options: argparse.Namespace) -> int:
    results: asyncio.Queue[Message] = asyncio.Queue(_MOST_WAITING)

    def take(message: Message) -> None:
        if results.full():
            results.get_nowait()
        results.put_nowait(message)

    line = BrokerLine(settings.mqtt, "watch", options.url)
    for each in result_filters(settings):
        wish = RETAINED_ALWAYS if options.retained else RETAINED_NEVER
        line.connection.subscribe(each, 0, take, retain_handling=wish)
    async with line.up():
        return await _show(results, options)


async def _show(results: asyncio.Queue[Message], options: argparse.Namespace) -> int:
    end_s = None if options.seconds is None else time.monotonic() + options.seconds
    seen = 0
    while options.count is None or seen < options.count:
        try:
            left_s = None if end_s is None else max(0.0, end_s - time.monotonic())
            message = await asyncio.wait_for(results.get(), left_s)
        except asyncio.TimeoutError:
            break
        line = _line(message, options)
        if line is not None:
            print(line, flush=True)
            seen += 1
    return ExitCode.OK


def _line(message: Message, options: argparse.Namespace) -> str | None:
    """Return what to print of a message; None if it is no result, or not wanted."""
    try:
        result: Any = json.loads(message.payload)
    except (ValueError, RecursionError):
        return None
    if not isinstance(result, Mapping) or "prediction" not in result:
        return None
    sensor, pipeline = str(result.get("sensor", "")), str(result.get("pipeline", ""))
    if not fnmatchcase(sensor, options.sensor) or not fnmatchcase(pipeline, options.pipeline):
        return None
    if options.json:
        return json.dumps({"topic": message.topic, "result": result}, separators=(",", ":"))
    frame = result.get("frame")
    at = str(frame.get("received_at") or "") if isinstance(frame, Mapping) else ""
    latency = result.get("latency_ms")
    total = latency.get("total") if isinstance(latency, Mapping) else None
    took = f"{total:.1f} ms" if isinstance(total, int | float) else "-"
    words = (at[11:23] or "-", sensor or "-", pipeline or "-", in_words(result), took)
    return "  ".join(printable(word) for word in words)
