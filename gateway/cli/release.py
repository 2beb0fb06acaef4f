"""``gateway release``: packs a model folder into a release folder that a repository takes."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from pathlib import Path
from typing import Any

from gateway.cli.exit_codes import ExitCode
from gateway.cli.progress import ProgressLine
from gateway.updates.packing.budget import LOAD_FACTOR, MEMORY_FACTOR, P99_FACTOR
from gateway.updates.packing.pack import Packed, PackOptions, pack
from gateway.updates.packing.trials import DEFAULT_LEAST, DEFAULT_MUTATIONS, Sensitivity


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    packing = commands.add_parser("pack", help="make a release folder", description="Make a release folder.")
    packing.add_argument("dir", type=Path, metavar="DIR", help="model folder: card.yaml and what it names")
    add_pack_arguments(packing)
    packing.add_argument(
        "--out", type=Path, metavar="OUT", help="folder to make; MODEL-N beside DIR by default"
    )
    packing.add_argument("--json", action="store_true", help="print what was made as one JSON document")


def add_pack_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of packing, for every command that packs."""
    parser.add_argument(
        "--number", type=int, metavar="N", default=0, help="release counter; one more than --from, or 1"
    )
    parser.add_argument(
        "--model", default="", metavar="NAME", help="name on the boards; the card's by default"
    )
    parser.add_argument("--label", default="", metavar="L", help="version for people; the card's by default")
    parser.add_argument("--notes", default="", metavar="TEXT", help="one line for people")
    parser.add_argument(
        "--from",
        dest="earlier",
        type=Path,
        metavar="DIR",
        help="earlier release folder, to make patches from",
    )
    _add_check_arguments(parser)
    parser.add_argument("--min-gateway", default="", metavar="X.Y.Z", help="least version of the gateway")
    parser.add_argument(
        "--hardware",
        action="append",
        default=[],
        metavar="NAME",
        help="only for these boards; can be repeated",
    )
    parser.add_argument(
        "--min-release", type=int, default=0, metavar="N", help="boards never go below this release again"
    )


def _add_check_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mutations",
        type=int,
        metavar="N",
        default=DEFAULT_MUTATIONS,
        help="damaged models to try the samples on (default: %(default)s)",
    )
    parser.add_argument(
        "--least",
        type=float,
        metavar="SHARE",
        default=DEFAULT_LEAST,
        help="share of them that must be noticed (default: %(default)s)",
    )
    parser.add_argument(
        "--budgets",
        choices=("auto", "none"),
        default="auto",
        help="bound time and memory on the boards, or not",
    )
    parser.add_argument(
        "--allow-blind", action="store_true", help="pack though the samples notice too little"
    )


def run(options: argparse.Namespace) -> int:
    """Pack, and say what was made.

    Raises:
        GatewayError: It did not work; nothing was made.
    """
    packed = packed_by(options, options.dir, options.out)
    if options.json:
        print(json.dumps(document(packed), indent=2))
    else:
        describe(packed)
    return ExitCode.OK


def packed_by(options: argparse.Namespace, folder: Path, out: Path | None) -> Packed:
    """Pack a folder as the command line says, with a line of progress on a terminal.

    Raises:
        GatewayError: It did not work; nothing was made.
    """
    wanted = PackOptions(
        number=options.number,
        model=options.model,
        label=options.label,
        notes=options.notes,
        out=out,
        earlier=options.earlier,
        mutations=options.mutations,
        least=options.least,
        with_budgets=options.budgets == "auto",
        allow_blind=options.allow_blind,
        min_gateway=options.min_gateway,
        hardware=tuple(options.hardware),
        min_release=options.min_release,
        issued=int(time.time()),
    )
    with ProgressLine(sys.stderr) as line:
        return pack(folder, wanted, line.show)


def describe(packed: Packed) -> None:
    """Print what was made, for people."""
    release = packed.release
    print(f"{release.model} {release.number} ({release.label}): {packed.folder}")
    print(f"  manifest   sha256 {packed.digest}")
    print(f"  files      {len(release.files)}, {release.size_bytes / 1e6:.2f} MB")
    if packed.sensitivity is None:
        print("  samples    none: nothing on a board will notice a wrong model")
    else:
        heads = itertools.chain(["samples"], itertools.repeat(""))
        for head, line in zip(heads, sensitivity_lines(packed.sensitivity), strict=False):
            print(f"  {head:10} {line}")
    held = release.budgets
    if held.load_s:
        print(
            f"  budgets    load {held.load_s:g} s (measured x {LOAD_FACTOR:g} + spare), "
            f"p99 {held.p99_ms:g} ms (x {P99_FACTOR:g}), memory {held.memory_bytes / 1e6:.0f} MB "
            f"(x {MEMORY_FACTOR:g})"
        )
    for patched in packed.patches:
        verdict = "kept" if patched.delta else "dropped: it saves too little"
        print(
            f"  patch      {patched.path}: {patched.patch_bytes / 1e6:.3f} of "
            f"{patched.size_bytes / 1e6:.3f} MB, saves {patched.saving:.0%}; {verdict}"
        )


def sensitivity_lines(tried: Sensitivity) -> list[str]:
    """Return in words what golden samples notice."""
    lines = [f"golden samples notice {tried.damaged()} damaged models; mistaken cards: {tried.cards()}"]
    lines += [f"  {rate} when {what}" for what, rate in tried.kinds().items() if rate.tried]
    return lines


def document(packed: Packed) -> dict[str, Any]:
    """Return what was made as JSON values."""
    release, tried = packed.release, packed.sensitivity
    return {
        "model": release.model,
        "release": release.number,
        "label": release.label,
        "folder": str(packed.folder),
        "digest": packed.digest,
        "size_bytes": release.size_bytes,
        "files": [file.path for file in release.files],
        "samples": None
        if tried is None
        else {
            "damaged": _rate(tried.damaged().noticed, tried.damaged().tried),
            "cards": _rate(tried.cards().noticed, tried.cards().tried),
            "kinds": {what: _rate(rate.noticed, rate.tried) for what, rate in tried.kinds().items()},
            "load_s": tried.load_s,
            "p99_ms": tried.p99_ms,
        },
        "budgets": {
            "load_s": release.budgets.load_s,
            "p99_ms": release.budgets.p99_ms,
            "memory_bytes": release.budgets.memory_bytes,
        },
        "patches": [
            {
                "path": each.path,
                "size": each.size_bytes,
                "patch": each.patch_bytes,
                "kept": each.delta is not None,
            }
            for each in packed.patches
        ],
    }


def _rate(noticed: int, tried: int) -> dict[str, int]:
    return {"noticed": noticed, "tried": tried}
