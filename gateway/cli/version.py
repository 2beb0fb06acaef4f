"""``gateway version``: which build this is."""

from __future__ import annotations

import argparse
import json
import platform

from gateway.cli.exit_codes import ExitCode
from gateway.operations.build import VERSION


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Print the version."""
    if options.json:
        facts = {"version": VERSION, "python": platform.python_version(), "machine": platform.machine()}
        print(json.dumps(facts))
    else:
        print(f"gateway {VERSION}")
    return ExitCode.OK
