"""``gateway sensors``: a table of the sensors that a running gateway knows."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.cli.client import fetch_status, status_url
from gateway.cli.exit_codes import ExitCode
from gateway.cli.settings_file import add_config_argument, client_settings
from gateway.demo.words import in_words, printable

_TITLES = (
    "SENSOR",
    "KIND",
    "PRESENCE",
    "ADMISSION",
    "PIPELINES",
    "STREAM",
    "RATE",
    "RESULTS",
    "DROPS",
    "LATEST",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_config_argument(parser)
    parser.add_argument(
        "--url", help="where the gateway answers, instead of http.listen of its configuration"
    )
    parser.add_argument("--json", action="store_true", help="print the sensors of /status as one JSON object")


def run(options: argparse.Namespace) -> int:
    """Print the table.

    Raises:
        NotReady: No gateway answers.
        Malformed: What answers is not a gateway.
        ConfigError: The configuration cannot be read.
    """
    url = options.url
    if url is None:
        url = status_url(client_settings(options.config, needs_secrets=False).http.listen)
    status = fetch_status(url)
    if options.json:
        print(json.dumps({"sensors": status["sensors"]}))
        return ExitCode.OK
    lines = table(status["sensors"])
    print("\n".join(lines) if len(lines) > 1 else "no sensors")
    return ExitCode.OK


def table(sensors: Sequence[object]) -> list[str]:
    """Return a head and one line a stream, columns aligned; what is missing is a dash."""
    rows: list[tuple[str, ...]] = [_TITLES]
    for sensor in sensors:
        if isinstance(sensor, Mapping):
            rows.extend(_rows(sensor))
    widths = [max(len(row[index]) for row in rows) for index in range(len(_TITLES))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _rows(sensor: Mapping[str, Any]) -> list[tuple[str, ...]]:
    admission = _text(sensor, "admission")
    reason = _text(sensor, "reason")
    if reason != "-" and admission != "admitted":
        admission = f"{admission} ({reason})"
    pipelines = sensor.get("pipelines")
    names = ",".join(map(str, pipelines)) if isinstance(pipelines, list) else ""
    head = (
        _text(sensor, "id"),
        _text(sensor, "kind"),
        _text(sensor, "presence"),
        admission,
        printable(names) or "-",
    )
    streams = sensor.get("streams")
    known = [each for each in streams if isinstance(each, Mapping)] if isinstance(streams, list) else []
    if not known:
        return [(*head, "-", "-", "-", "-", "-")]
    return [(*head, *_stream(each)) for each in known]


def _stream(stream: Mapping[str, Any]) -> tuple[str, ...]:
    rate, results, drops = stream.get("rate_hz"), stream.get("results"), stream.get("drops")
    last = stream.get("last_result")
    dropped = (
        sum(count for count in drops.values() if isinstance(count, int)) if isinstance(drops, dict) else 0
    )
    return (
        _text(stream, "name"),
        f"{rate:.1f}/s" if isinstance(rate, int | float) else "-",
        str(results) if isinstance(results, int) else "-",
        str(dropped),
        in_words(last) if isinstance(last, Mapping) else "-",
    )


def _text(holder: Mapping[str, Any], key: str) -> str:
    value = holder.get(key)
    return printable(value)[:60] or "-" if isinstance(value, str) else "-"
