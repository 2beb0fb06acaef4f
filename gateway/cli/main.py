"""The command ``gateway``: finds the subcommand, imports it alone, and ends with its exit code.

A subcommand is a module with ``add_arguments(parser)`` and ``run(options)``; it
is imported when it is called, so that ``gateway version`` pays for no runtime.
A ``GatewayError`` that it raises becomes words on standard error (one JSON
object with ``--json``) and an exit code, never a traceback.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib import import_module
from typing import Protocol, cast

from gateway.cli.exit_codes import ExitCode, exit_code
from gateway.errors import ConfigError, GatewayError
from gateway.operations.build import VERSION

COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("gateway.cli.run", "run the gateway until it is told to stop"),
    "check": ("gateway.cli.check", "check a configuration file, its models and pipelines"),
    "config": ("gateway.cli.config_schema", "print the JSON Schema or the documented default file"),
    "sensors": ("gateway.cli.sensors", "list the sensors of a running gateway"),
    "watch": ("gateway.cli.watch", "show results as they are published"),
    "infer": ("gateway.cli.infer", "run one file through a model, offline"),
    "models": ("gateway.cli.models", "list model folders and what is in them"),
    "doctor": ("gateway.cli.doctor", "name what is wrong here, and the command that mends it"),
    "fsck": ("gateway.cli.fsck", "check every byte of the model store, and mend it"),
    "repo": ("gateway.cli.repo", "keep an author's signed repository of model releases"),
    "release": ("gateway.cli.release", "pack a model folder into a release folder"),
    "serve-blobs": ("gateway.cli.serve_blobs", "answer boards that ask for blobs over MQTT"),
    "push": ("gateway.cli.push", "pack, publish and follow a model release until boards run it"),
    "rollout": ("gateway.cli.rollout", "raise a phased rollout step by step, or stop it"),
    "version": ("gateway.cli.version", "print the version"),
}


class Command(Protocol):
    """What a subcommand's module offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options of the subcommand."""

    def run(self, options: argparse.Namespace) -> int:
        """Do it and return the exit code.

        Raises:
            GatewayError: It did not work.
        """


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    Args:
        argv: Arguments after the program's name; those of this process when None.

    Raises:
        SystemExit: The command line is wrong, or help was asked for.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] not in COMMANDS:
        _overview().parse_args(arguments)
        _overview().print_help(sys.stderr)
        return ExitCode.USAGE
    name = arguments[0]
    module, summary = COMMANDS[name]
    command = cast(Command, import_module(module))
    parser = argparse.ArgumentParser(prog=f"gateway {name}", description=summary.capitalize() + ".")
    command.add_arguments(parser)
    options = parser.parse_args(arguments[1:])
    return _guarded(command, options)


def _overview() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    lines = "\n".join(f"  {name:{width}}  {summary}" for name, (_, summary) in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="gateway",
        usage="gateway [-h] [--version] COMMAND ...",
        description="Runs quantised models on what sensors publish over MQTT.",
        epilog=f"commands:\n{lines}\n\n`gateway COMMAND --help` says more about each.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"gateway {VERSION}")
    parser.add_argument("command", nargs="?", choices=COMMANDS, metavar="COMMAND", help=argparse.SUPPRESS)
    return parser


def _guarded(command: Command, options: argparse.Namespace) -> int:
    """Run a command; turn what it raises into words and an exit code."""
    try:
        code = command.run(options)
        sys.stdout.flush()
    except GatewayError as error:
        report(error, as_json=getattr(options, "json", False))
        return exit_code(error)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.PIPE_CLOSED
    return code


def report(error: GatewayError, *, as_json: bool) -> None:
    """Write an error to standard error, as one write: other threads may be logging there."""
    if as_json:
        told = json.dumps({"error": error_document(error)})
    elif isinstance(error, ConfigError):
        told = error.message
    else:
        told = f"gateway: {error.label}: {error.message}"
    sys.stderr.write(f"{told}\n")


def error_document(error: GatewayError) -> dict[str, object]:
    """Return an error as JSON values: label, message, attributes, and the issues of a configuration."""
    told: dict[str, object] = {"label": error.label, "message": error.message}
    if error.attributes:
        told["attributes"] = dict(error.attributes)
    if isinstance(error, ConfigError):
        told["issues"] = [asdict(issue) for issue in error.issues]
    return told
