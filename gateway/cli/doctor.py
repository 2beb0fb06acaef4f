"""``gateway doctor``: names what is wrong with board, packages, service, broker, models; and what mends it.

Nothing is changed and no right is needed; it can run beside the gateway.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from gateway.cli.exit_codes import ExitCode
from gateway.cli.settings_file import DEFAULT_FILE, add_config_argument
from gateway.doctor.checks import GROUPS
from gateway.doctor.finding import Finding, Verdict, worst
from gateway.doctor.interpreter import numpy_findings
from gateway.doctor.readers.text import is_there
from gateway.doctor.report import document, group_lines, summary_line
from gateway.operations.build import VERSION

_WIDEST = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_config_argument(parser)
    parser.add_argument(
        "--only",
        action="append",
        choices=tuple(GROUPS),
        default=[],
        metavar="GROUP",
        help=f"examine this group alone; may be given again ({', '.join(GROUPS)})",
    )
    parser.add_argument("--no-models", action="store_true", help="load neither runtimes nor models: faster")
    parser.add_argument("--offline", action="store_true", help="leave the broker alone")
    parser.add_argument("--unit", default="gateway.service", help="systemd unit (default: %(default)s)")
    parser.add_argument("--strict", action="store_true", help="end with 1 for warnings, too")
    parser.add_argument("--quiet", action="store_true", help="leave out what is well")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Examine, and print what was found as it is found.

    Returns:
        1 if there is a problem; with ``--strict``, or a warning.
    """
    # Its folder is the service's: who may not look there is told so, and not that there is none.
    file = options.config or (DEFAULT_FILE if is_there(Path(DEFAULT_FILE)) is not False else "")
    width = min(_WIDEST, shutil.get_terminal_size((_WIDEST, 24)).columns)
    found: list[Finding] = []
    for group, findings in _examined(options, file):
        found.extend(findings)
        if not options.json:
            for line in group_lines(group, findings, width, quiet=options.quiet):
                print(line)
            sys.stdout.flush()
    if options.json:
        print(json.dumps(document(found, {"version": VERSION, "config": file})))
    else:
        print(summary_line(found))
    bad = {Verdict.PROBLEM, Verdict.WARNING} if options.strict else {Verdict.PROBLEM}
    return ExitCode.FAILURE if worst(found) in bad else ExitCode.OK


def _examined(options: argparse.Namespace, file: str) -> Iterator[tuple[str, list[Finding]]]:
    if broken := list(numpy_findings()):
        yield "packages", broken
        return
    from gateway.doctor.examination import examine_groups
    from gateway.doctor.visit_plan import Choices, VisitPlan

    choices = Choices(file, options.unit, models=not options.no_models, offline=options.offline)
    yield from examine_groups(VisitPlan(choices).groups(), frozenset(options.only))
