"""``gateway rollout``: raises a phased rollout step by step, and stops or turns it round by itself."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.cli.boards import Boards, connected_boards, doorbell, new_request_id
from gateway.cli.exit_codes import ExitCode
from gateway.cli.push import SETTLE_S, add_watch_arguments
from gateway.cli.repo import add_repository_arguments, opened
from gateway.cli.settings_file import add_config_argument, client_settings
from gateway.errors import PublishRefused
from gateway.updates.outcome import Counts, count, meant
from gateway.updates.rollout_watch import Decision, Move, OnError, Policy, Watching, step

if TYPE_CHECKING:
    from gateway.updates.assignment import Assignment
    from gateway.updates.publishing.assigning import Change
    from gateway.updates.publishing.repository import Repository

DEFAULT_STEPS: Final = "5,25,50,100"
DEFAULT_SOAK_S: Final = 300.0
_RING_LIMIT_S: Final = 10.0
_LOOK_EVERY_S: Final = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    about = "raise the percentage while boards commit; pause or go back when they fail"
    watch = commands.add_parser("watch", help=about, description=f"{about.capitalize()}.")
    add_repository_arguments(watch)
    add_config_argument(watch)
    watch.add_argument("--group", required=True, metavar="G", help="group of boards")
    watch.add_argument("--model", required=True, metavar="M", help="model whose assigned release is watched")
    watch.add_argument("--to", type=Path, metavar="DIR", help="also copy what boards see there")
    _add_policy_arguments(watch)
    add_watch_arguments(watch)


def _add_policy_arguments(watch: argparse.ArgumentParser) -> None:
    watch.add_argument(
        "--steps", default=DEFAULT_STEPS, metavar="P,P", help="percentages (default: %(default)s)"
    )
    watch.add_argument(
        "--success-rate",
        type=float,
        default=0.95,
        metavar="R",
        help="must commit before the next step (%(default)g)",
    )
    watch.add_argument(
        "--error-rate",
        type=float,
        default=0.05,
        metavar="R",
        help="may fail of those that finished (%(default)g)",
    )
    watch.add_argument(
        "--min-boards",
        type=int,
        default=1,
        metavar="N",
        help="finished boards before failures count (%(default)d)",
    )
    watch.add_argument(
        "--soak",
        type=float,
        default=DEFAULT_SOAK_S,
        metavar="S",
        help="seconds a success must last (%(default)g)",
    )
    watch.add_argument(
        "--on-error",
        choices=[each.value for each in OnError],
        default="pause",
        help="when too many fail (%(default)s)",
    )
    watch.add_argument(
        "--revert-to",
        type=int,
        default=0,
        metavar="N",
        help="release to go back to; the one before by default",
    )


def run(options: argparse.Namespace) -> int:
    """Watch until the last step succeeded, or the rollout was stopped.

    Returns:
        0 if it got to the end; 1 if it was paused or turned round; 75 if the time was over before.

    Raises:
        GatewayError: It did not work.
    """
    policy = Policy(
        steps=_steps(options.steps),
        success_rate=options.success_rate,
        error_rate=options.error_rate,
        min_boards=options.min_boards,
        soak_s=options.soak,
        on_error=OnError(options.on_error),
    )
    settings = client_settings(options.config, needs_secrets=True)
    repository = opened(options)

    async def watch() -> int:
        async with connected_boards(settings, options.url) as boards:
            return await _Rollout(repository, boards, options).watch(policy)

    return asyncio.run(watch())


def _steps(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise PublishRefused(f"--steps: {text[:80]!a}: percentages such as 5,25,100 are wanted") from error


class _Rollout:
    """One rollout under watch."""

    def __init__(self, repository: Repository, boards: Boards, options: argparse.Namespace) -> None:
        self._repository = repository
        self._boards = boards
        self._options = options
        self._told = ""

    async def watch(self, policy: Policy) -> int:
        options = self._options
        assignment = self._assigned()
        release = assignment.models[options.model].release
        watching = Watching(assignment.models[options.model].percent)
        begun_s = time.monotonic()
        while True:
            after_s = time.monotonic() - begun_s
            if after_s >= options.timeout:
                self._say("timeout", f"not done after {options.timeout:g} s", watching.percent)
                return ExitCode.TOO_LATE
            counts = self._counts(assignment, release)
            if counts is None or after_s < (0 if options.boards else SETTLE_S):
                await self._boards.news(_LOOK_EVERY_S)
                continue
            watching, decision = step(policy, watching, counts, time.monotonic())
            self._say(decision.move.value, decision.reason, decision.percent)
            if decision.move is Move.DONE:
                return ExitCode.OK
            if decision.move is Move.WAIT:
                await self._boards.news(_LOOK_EVERY_S)
                continue
            assignment = await self._publish(assignment, self._change(decision, release))
            if decision.move is not Move.RAISE:
                return ExitCode.FAILURE

    def _assigned(self) -> Assignment:
        options = self._options
        found = self._repository.status().assignments.get(options.group)
        if found is None or options.model not in found.models:
            raise PublishRefused(
                f"{options.group}: {options.model} is not assigned; gateway push begins a rollout"
            )
        if found.models[options.model].paused:
            raise PublishRefused(
                f"{options.group}: {options.model} is paused; gateway repo assign --resume goes on"
            )
        return found

    def _counts(self, assignment: Assignment, release: int) -> Counts | None:
        """Return where the release stands; None while too few boards are there to judge."""
        options = self._options
        here = self._boards.online(options.group)
        if len([report for report in here if options.model in report.models]) < max(options.boards, 1):
            return None
        return count(meant(assignment, options.model, here, time.time()), {options.model: release})

    def _change(self, decision: Decision, release: int) -> Change:
        from gateway.updates.publishing.assigning import Change

        model = self._options.model
        if decision.move is Move.RAISE:
            return Change(releases={model: None}, percent=decision.percent)
        if decision.move is Move.PAUSE:
            return Change(releases={model: None}, paused=True)
        return Change(releases={model: self._before(release)}, percent=100.0, allow_downgrade=True)

    def _before(self, release: int) -> int:
        """Return the release to go back to."""
        known = self._repository.status().releases.get(self._options.model, ())
        wanted: int = self._options.revert_to or max((each for each in known if each < release), default=0)
        if wanted not in known:
            raise PublishRefused(
                f"{self._options.model}: there is no release before {release} to go back to; "
                "pause it, and push the old files under a new number"
            )
        return wanted

    async def _publish(self, assignment: Assignment, change: Change) -> Assignment:
        """Sign and ring; whoever changed the assignment meanwhile wins, and we stop."""
        made = self._repository.assign(self._options.group, change, assignment.version)
        self._repository.publish(self._options.to)
        bell = doorbell(self._repository.folder.name, made.version, new_request_id())
        await self._boards.ring(self._options.group, bell, time.monotonic() + _RING_LIMIT_S)
        return made

    def _say(self, move: str, reason: str, percent: float) -> None:
        words = f"{percent:g} %  {move}: {reason}"
        if words == self._told:
            return
        self._told = words
        document = {"percent": percent, "move": move, "reason": reason}
        print(json.dumps(document) if self._options.json else words, flush=True)
