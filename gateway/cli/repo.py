"""``gateway repo``: the author's signed repository of releases, one command for each thing an author does."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.cli.exit_codes import ExitCode
from gateway.cli.progress import ByteProgress, ProgressLine
from gateway.cli.repo_words import first_words, published_words, rotated_words, status_words

if TYPE_CHECKING:
    from gateway.updates.publishing.assigning import Change
    from gateway.updates.publishing.keys import KeyFolders
    from gateway.updates.publishing.repository import Repository

PASSPHRASE = "GATEWAY_KEY_PASSPHRASE"  # noqa: S105 - the name of a variable
_FOLDER = "GATEWAY_REPOSITORY"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands and their options."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _init_arguments(_command(commands, "init", "begin a repository: keys, roles, first signatures"))
    add = _command(commands, "add", "add a packed release; boards see it after `publish`")
    add.add_argument("release", metavar="RELEASE_DIR", help="folder that `gateway release pack` made")
    _assign_arguments(_command(commands, "assign", "say what a group of boards should run"))
    publish = _command(commands, "publish", "sign the whole anew, so that boards see it; run it daily")
    publish.add_argument(
        "--to", metavar="DIR", help="copy what boards see there: a web server's folder, a stick"
    )
    rotate = _command(commands, "rotate-key", "replace a key; boards follow by themselves")
    rotate.add_argument("role", metavar="ROLE", help="root, targets, snapshot, timestamp, models or assign")
    rotate.add_argument(
        "--key", default="", metavar="ID", help="beginning of the old key's id, if there are several"
    )
    _command(commands, "status", "show roles, keys, releases and assignments")


def add_repository_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare where the repository and its keys are."""
    parser.add_argument(
        "--repo", metavar="DIR", help=f"the repository (default: ${_FOLDER}, else the current folder)"
    )
    parser.add_argument(
        "--keys",
        action="append",
        metavar="DIR",
        help="folder of private keys (default: DIR.keys beside the repository); may be given several times",
    )


def run(options: argparse.Namespace) -> int:
    """Do it.

    Raises:
        GatewayError: It did not work; the message says why.
    """
    actions: dict[str, Callable[[argparse.Namespace], int]] = {
        "init": _init,
        "add": _add,
        "assign": _assign,
        "publish": _publish,
        "rotate-key": _rotate,
        "status": _status,
    }
    return actions[options.action](options)


def opened(options: argparse.Namespace) -> Repository:
    """Return the repository that the options name.

    Raises:
        PublishRefused: There is none.
    """
    from gateway.updates.publishing.repository import Repository

    folder = Path(options.repo or os.environ.get(_FOLDER) or ".")
    return Repository.open(folder, key_folders(folder, options.keys))


def key_folders(folder: Path, named: list[str] | None) -> KeyFolders:
    """Return where the private keys of a repository are looked for."""
    from gateway.updates.publishing.keys import KeyFolders

    beside = folder.resolve().with_name(folder.resolve().name + ".keys")
    return KeyFolders([Path(each) for each in named or [str(beside)]], ask_passphrase)


def ask_passphrase(what: str) -> bytes | None:
    """Return the passphrase of the private keys: from the environment, else from the terminal."""
    found = os.environ.get(PASSPHRASE)
    if found is None and sys.stdin.isatty():
        import getpass

        found = getpass.getpass(f"Passphrase for {what}: ")
    return found.encode() if found else None


def _command(commands: Any, name: str, summary: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}."
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    if name == "init":
        parser.add_argument("repo", metavar="DIR", help="folder of the new repository")
        parser.add_argument(
            "--keys", action="append", metavar="DIR", help="folder for the keys (default: DIR.keys)"
        )
    else:
        add_repository_arguments(parser)
    return parser


def _init_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--air-gapped",
        action="store_true",
        help="signatures hold for 90 days, for sites where nobody can sign daily",
    )
    parser.add_argument(
        "--encrypt", action="store_true", help=f"write keys with a passphrase (${PASSPHRASE}, or asked)"
    )


def _assign_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "group", metavar="GROUP", help="group of boards, `updates.group` in their configuration"
    )
    parser.add_argument(
        "models",
        nargs="*",
        metavar="MODEL[=N]",
        help="release N of a model; MODEL=none takes it out; MODEL alone, or no model, changes options only",
    )
    parser.add_argument(
        "--percent", type=float, metavar="P", help="share of the boards that follow (default: 100)"
    )
    parser.add_argument(
        "--canary", action="append", metavar="ID", help="board that follows whatever the percent"
    )
    parser.add_argument(
        "--seed", metavar="TEXT", help="mixes the boards anew (default: the assignment's version)"
    )
    parser.add_argument("--not-before", type=int, metavar="UNIX_S", help="no switch before this time")
    parser.add_argument("--window", metavar="HH:MM-HH:MM", help="switch only then, in UTC; any for any time")
    pause = parser.add_mutually_exclusive_group()
    pause.add_argument("--pause", action="store_true", help="boards that have not switched yet wait")
    pause.add_argument("--resume", action="store_true", help="they go on")
    parser.add_argument("--shadow", type=int, metavar="N", help="compare on N live frames before the switch")
    parser.add_argument("--shadow-agreement", type=float, metavar="A", help="least share that agrees, 0 to 1")
    parser.add_argument(
        "--set", action="append", dest="sets", metavar="A,B", help="models that switch together"
    )
    parser.add_argument(
        "--bake-s", type=float, metavar="S", help="seconds of watched service before the commit"
    )
    parser.add_argument("--allow-downgrade", action="store_true", help="the release may be older than before")
    parser.add_argument(
        "--expect-version", type=int, metavar="V", help="refuse if the assignment is not version V"
    )


def _init(options: argparse.Namespace) -> int:
    from gateway.updates.publishing.repository import Repository
    from gateway.updates.publishing.roles import Profile

    folder = Path(options.repo)
    keys = key_folders(folder, options.keys)
    profile = Profile.AIR_GAPPED if options.air_gapped else Profile.ONLINE
    made = Repository.create(folder, keys, profile, encrypted=options.encrypt)
    status = made.status()
    if options.json:
        print(json.dumps({**status.to_json(), "root_file": str(made.root_file)}))
    else:
        print(first_words(status, str(made.root_file)))
    return ExitCode.OK


def _add(options: argparse.Namespace) -> int:
    from gateway.updates.release import manifest_digest

    release_dir = Path(options.release)
    with ProgressLine(sys.stderr) as line:
        release = opened(options).add(release_dir, ByteProgress("copying", line))
    told = {
        "model": release.model,
        "release": release.number,
        "digest": manifest_digest((release_dir / "manifest.json").read_bytes()),
        "size_bytes": release.size_bytes,
    }
    if options.json:
        print(json.dumps(told))
    else:
        print(
            f"added {release.model} {release.number} ({release.label}, {release.size_bytes / 1e6:.2f} MB); "
            "assign it, then publish"
        )
    return ExitCode.OK


def _assign(options: argparse.Namespace) -> int:
    from gateway.updates.assignment_json import assignment_bytes

    made = opened(options).assign(options.group, change_of(options), options.expect_version)
    if options.json:
        print(assignment_bytes(made).decode().strip())
    else:
        for model, wish in made.models.items():
            paused = ", paused" if wish.paused else ""
            print(f"{made.group}: {model} {wish.release} on {wish.percent:g} % of the boards{paused}")
        print(f"{made.group}: assignment version {made.version}; boards see it after `gateway repo publish`")
    return ExitCode.OK


def change_of(options: argparse.Namespace) -> Change:
    """Return what the options of ``assign`` want changed.

    Raises:
        PublishRefused: A model is given in no way that is known.
        ManifestRefused: The window is none.
    """
    from gateway.updates.assignment import Window
    from gateway.updates.assignment_json import parse_window
    from gateway.updates.publishing.assigning import Change

    window = None
    if options.window is not None:
        window = Window(0, 0) if options.window == "any" else parse_window(options.window, "--window")
    return Change(
        releases=dict(map(_model, options.models)),
        percent=options.percent,
        seed=options.seed,
        canary=None if options.canary is None else tuple(options.canary),
        not_before=options.not_before,
        window=window,
        paused=True if options.pause else False if options.resume else None,
        shadow_frames=options.shadow,
        shadow_agreement=options.shadow_agreement,
        bake_s=options.bake_s,
        allow_downgrade=True if options.allow_downgrade else None,
        sets=None if options.sets is None else tuple(tuple(each.split(",")) for each in options.sets),
    )


def _model(text: str) -> tuple[str, int | None]:
    from gateway.errors import PublishRefused
    from gateway.updates.names import checked_word
    from gateway.updates.publishing.assigning import WITHDRAWN

    name, has_number, number = text.partition("=")
    checked_word(name, "model")
    if not has_number:
        return name, None
    if number == "none":
        return name, WITHDRAWN
    if not number.isascii() or not number.isdecimal() or len(number) > 16 or int(number) < 1:
        raise PublishRefused(f"{text[:80]!a}: MODEL=NUMBER is wanted, such as door=12, or MODEL=none")
    return name, int(number)


def _publish(options: argparse.Namespace) -> int:
    to = Path(options.to) if options.to else None
    with ProgressLine(sys.stderr) as line:
        done = opened(options).publish(to, ByteProgress("copying", line))
    for warning in done.warnings:
        print(f"gateway: warning: {warning}", file=sys.stderr)
    if options.json:
        told = {"timestamp": done.timestamp, "expires_unix_s": done.expires_unix_s, "warnings": done.warnings}
        print(json.dumps(told))
    else:
        print(published_words(done.timestamp, done.expires_unix_s, options.to))
    return ExitCode.OK


def _rotate(options: argparse.Namespace) -> int:
    repository = opened(options)
    old, new = repository.rotate(options.role, options.key)
    if options.json:
        print(json.dumps({"role": options.role, "old": old, "new": new}))
    else:
        print(rotated_words(options.role, old, new, repository.status()))
    return ExitCode.OK


def _status(options: argparse.Namespace) -> int:
    status = opened(options).status()
    if options.json:
        print(json.dumps(status.to_json()))
    else:
        print("\n".join(status_words(status, time.time())))
    return ExitCode.OK
