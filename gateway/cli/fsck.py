"""``gateway fsck``: reads every byte of the model store, says what is wrong, and mends it if told to."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from gateway.cli.exit_codes import ExitCode
from gateway.cli.settings_file import add_config_argument, client_settings
from gateway.demo.words import printable
from gateway.errors import StoreBusy, StoreFailed
from gateway.updates.store.audit import AuditLog
from gateway.updates.store.check import check, require_store
from gateway.updates.store.finding import Finding, Severity
from gateway.updates.store.layout import Layout, store_folder
from gateway.updates.store.locking import share, take


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_config_argument(parser)
    parser.add_argument("--store", metavar="DIR", help="folder of the model store, instead of the configured")
    parser.add_argument(
        "--mend", action="store_true", help="mend what can be mended; no gateway may be running"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Check the store and print what was found.

    Returns:
        1 if there is damage that was not mended.

    Raises:
        ConfigError: The configuration cannot be read.
        StoreBusy: ``--mend``, and a gateway holds the store.
        StoreFailed: There is no store, or it cannot be read.
    """
    if options.store is None:
        settings = client_settings(options.config, needs_secrets=False)
        folder = store_folder(settings, os.environ)
    else:
        folder = Path(options.store)
    if not folder.is_dir():
        raise StoreFailed(f"model store {folder}: there is none")
    findings, settled = examine(Layout(folder.resolve()), mend=options.mend)
    if options.json:
        print(json.dumps(document(folder, findings, settled=settled)))
    else:
        _print(folder, findings, settled=settled)
    damaged = any(each.severity is Severity.DAMAGE and not each.mended for each in findings)
    return ExitCode.FAILURE if damaged else ExitCode.OK


def examine(layout: Layout, *, mend: bool) -> tuple[list[Finding], bool]:
    """Check a store under its lock if it can be had; return the findings, and whether it was.

    Raises:
        StoreBusy: It shall be mended, and a gateway holds it.
        StoreFailed: It cannot be read.
    """
    require_store(layout, mend=mend)
    fd: int | None = None
    settled = True
    try:
        fd = take(layout.lock) if mend else share(layout.lock)
    except StoreBusy as error:
        if mend:
            raise StoreBusy(
                f'{error.message}: stop it to mend the store; the order {{"do": "fsck"}} on '
                "<prefix>/<id>/models/cmd lets it check without mending",
                **error.attributes,
            ) from error
        settled = False
    try:
        return check(layout, mend=mend, settled=settled, tell=_teller(layout)), settled
    finally:
        if fd is not None:
            os.close(fd)


def document(folder: Path, findings: list[Finding], *, settled: bool) -> dict[str, object]:
    """Return the findings as JSON values."""
    told = [{**asdict(each), "severity": each.severity.value} for each in findings]
    return {"store": str(folder), "settled": settled, "findings": told}


def _teller(layout: Layout) -> Callable[..., None]:
    log = AuditLog(layout)

    def tell(event: str, **fields: str) -> None:
        log.append(event, int(time.time()), {**fields, "by": "fsck"})

    return tell


def _print(folder: Path, findings: list[Finding], *, settled: bool) -> None:
    for each in findings:
        release = f" (release {each.release})" if each.release else ""
        done = "mended: " if each.mended else "to mend it: "
        line = f"{each.path}: {each.severity.value}{release}: {each.problem}; {done}{each.remedy}"
        print(printable(line))
    if not settled:
        print(
            "A gateway is at work in this store: what it was just writing was passed over.", file=sys.stderr
        )
    mended = sum(each.mended for each in findings)
    count = f"{len(findings)} finding{'s' if len(findings) != 1 else ''}, {mended} mended"
    print(f"{folder}: {count if findings else 'every byte is as it was signed'}")
