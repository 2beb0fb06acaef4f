"""``gateway push``: from a model folder to boards that run it, in one command."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.cli.boards import Boards, connected_boards, doorbell, new_request_id
from gateway.cli.exit_codes import ExitCode
from gateway.cli.progress import ByteProgress, ProgressLine
from gateway.cli.release import add_pack_arguments, describe, packed_by
from gateway.cli.repo import add_repository_arguments, opened
from gateway.cli.settings_file import add_config_argument, client_settings
from gateway.errors import ConfigError, GatewayError, LoadFailed
from gateway.updates.assignment import Assignment
from gateway.updates.outcome import Counts, Seen, count, meant, seen
from gateway.updates.packing.pack import MANIFEST_FILE
from gateway.updates.release import Release
from gateway.updates.reported import Reported

if TYPE_CHECKING:
    from gateway.configuration.settings import Settings
    from gateway.updates.publishing.repository import Repository

DEFAULT_TIMEOUT_S: Final = 1800.0
# Retained reports of boards come at once, but one by one.
SETTLE_S: Final = 2.0
_RING_LIMIT_S: Final = 10.0
_LOOK_EVERY_S: Final = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("dir", type=Path, metavar="DIR", help="model folder, or a release folder made before")
    add_repository_arguments(parser)
    add_config_argument(parser)
    parser.add_argument("--group", required=True, metavar="G", help="group of boards")
    parser.add_argument(
        "--percent", type=float, metavar="P", help="share of the boards that follow (default: 100)"
    )
    parser.add_argument(
        "--canary", action="append", metavar="ID", help="board that follows whatever the percent"
    )
    parser.add_argument(
        "--expect-version", type=int, metavar="V", help="refuse if the assignment is not version V"
    )
    parser.add_argument("--to", type=Path, metavar="DIR", help="also copy what boards see there")
    parser.add_argument(
        "--out", type=Path, metavar="OUT", help="release folder to make; MODEL-N beside DIR by default"
    )
    add_pack_arguments(parser)
    add_watch_arguments(parser)
    parser.add_argument("--watch", action="store_true", help="follow the boards until all of them are done")


def add_watch_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of following boards."""
    parser.add_argument("--url", help="broker, instead of mqtt.url of the configuration")
    parser.add_argument(
        "--boards",
        type=int,
        default=0,
        metavar="N",
        help="wait until that many boards are there that are meant",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=DEFAULT_TIMEOUT_S,
        metavar="S",
        help="end after this time (default: %(default)g)",
    )
    parser.add_argument("--json", action="store_true", help="print each step as one line of JSON")


def run(options: argparse.Namespace) -> int:
    """Pack, add, assign, publish, ring; with ``--watch`` follow.

    Returns:
        0 if it was published, or all boards that are meant committed; 1 if one refused it or went back;
        75 if the time was over before.

    Raises:
        GatewayError: It did not work.
    """
    settings = client_settings(options.config, needs_secrets=True)
    repository = opened(options)
    folder = _packed(repository, options)
    with ProgressLine(sys.stderr) as line:
        release = repository.add(folder, ByteProgress("adding", line))
        assignment = _assign(repository, release, options)
        published = repository.publish(options.to, ByteProgress("copying", line))
    for warning in published.warnings:
        print(f"gateway: warning: {warning}", file=sys.stderr)
    _say(
        options,
        f"published {release.model} {release.number} for group {options.group}, "
        f"assignment {assignment.version}",
        {"published": release.number, "model": release.model, "assign_version": assignment.version},
    )
    bell = doorbell(repository.folder.name, assignment.version, new_request_id())
    return asyncio.run(_ring_and_watch(settings, bell, release, assignment, options))


def _packed(repository: Repository, options: argparse.Namespace) -> Path:
    """Return the release folder, packed now if a model folder was given."""
    if (options.dir / MANIFEST_FILE).is_file():
        return Path(options.dir)
    if not options.number:
        name = options.model or _card_name(options.dir)
        options.number = max(repository.status().releases.get(name, (0,))) + 1
    packed = packed_by(options, options.dir, options.out)
    if not options.json:
        describe(packed)
    return packed.folder


def _card_name(folder: Path) -> str:
    from gateway.inference.card import read_folder

    try:
        return read_folder(folder).card.name
    except ConfigError as error:
        raise LoadFailed(str(error)) from error


def _assign(repository: Repository, release: Release, options: argparse.Namespace) -> Assignment:
    from gateway.updates.publishing.assigning import Change

    change = Change(
        releases={release.model: release.number},
        percent=options.percent,
        canary=None if options.canary is None else tuple(options.canary),
    )
    return repository.assign(options.group, change, options.expect_version)


async def _ring_and_watch(
    settings: Settings, bell: bytes, release: Release, assignment: Assignment, options: argparse.Namespace
) -> int:
    try:
        async with connected_boards(settings, options.url) as boards:
            await boards.ring(options.group, bell, time.monotonic() + _RING_LIMIT_S)
            if not options.watch:
                return ExitCode.OK
            return await follow(boards, assignment, {release.model: release.number}, options)
    except GatewayError as error:
        if options.watch:
            raise
        # The doorbell only makes boards look at once: published is published.
        print(f"gateway: warning: not rung: {error.message}; boards look by themselves", file=sys.stderr)
        return ExitCode.OK


@dataclass(frozen=True, slots=True)
class _Shown:
    """What was said of one board."""

    board: str
    model: str
    seen: Seen


async def follow(
    boards: Boards, assignment: Assignment, wanted: Mapping[str, int], options: argparse.Namespace
) -> int:
    """Print how releases come on, until every board that is meant and there is done.

    Args:
        boards: Connected.
        assignment: Says which boards are meant.
        wanted: Releases by model; with more than one, all of them must get there.
        options: Of ``add_watch_arguments``.
    """
    begun_s = time.monotonic()
    shown: dict[tuple[str, str], Seen] = {}
    while True:
        here = boards.online(assignment.group)
        lines, counts = _look(here, assignment, wanted)
        for line in lines:
            if shown.get((line.board, line.model)) != line.seen:
                shown[(line.board, line.model)] = line.seen
                _tell(line, wanted, options)
        after_s = time.monotonic() - begun_s
        enough = (
            counts.selected >= options.boards
            if options.boards
            else bool(counts.selected) and after_s >= SETTLE_S
        )
        if enough and counts.finished >= counts.selected:
            return _end(counts, options)
        if after_s >= options.timeout:
            _say(options, f"not done after {options.timeout:g} s: {_words(counts)}", {"end": "timeout"})
            return ExitCode.TOO_LATE
        await boards.news(min(_LOOK_EVERY_S, options.timeout - after_s))


def _look(
    here: tuple[Reported, ...], assignment: Assignment, wanted: Mapping[str, int]
) -> tuple[list[_Shown], Counts]:
    """Return what is to be said of each board, and where the releases stand."""
    first = next(iter(wanted))
    chosen = meant(assignment, first, here, time.time())
    lines = [
        _Shown(report.device, model, seen(report, model, release))
        for report in chosen
        for model, release in wanted.items()
    ]
    return lines, count(chosen, wanted)


def _tell(line: _Shown, wanted: Mapping[str, int], options: argparse.Namespace) -> None:
    words = f": {line.seen.words}" if line.seen.words else ""
    _say(
        options,
        f"{line.board}  {line.model} {wanted[line.model]}  {line.seen.standing.value}{words}",
        {
            "board": line.board,
            "model": line.model,
            "release": wanted[line.model],
            "standing": line.seen.standing.value,
            "words": line.seen.words,
        },
    )


def _end(counts: Counts, options: argparse.Namespace) -> int:
    failed = counts.failed > 0
    _say(
        options,
        _words(counts),
        {"end": "failed" if failed else "committed", "committed": counts.committed, "failed": counts.failed},
    )
    return ExitCode.FAILURE if failed else ExitCode.OK


def _words(counts: Counts) -> str:
    return f"{counts.committed} of {counts.selected} boards committed, {counts.failed} failed"


def _say(options: argparse.Namespace, words: str, document: Mapping[str, object]) -> None:
    print(json.dumps(document) if options.json else words, flush=True)
