"""``gateway config``: the JSON Schema for editors, and the documented default file."""

from __future__ import annotations

import argparse
import sys

from gateway.cli.exit_codes import ExitCode


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "what",
        choices=("schema", "default"),
        help="schema: JSON Schema 2020-12 of the configuration; default: every key with its default",
    )


def run(options: argparse.Namespace) -> int:
    """Print one of the two."""
    from gateway.configuration.default_file import default_text
    from gateway.configuration.generated import schema_text

    sys.stdout.write(schema_text() if options.what == "schema" else default_text())
    return ExitCode.OK
