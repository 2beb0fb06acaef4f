"""Arguments of the demo's command."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SHIPPED = Path("config") / "gateway.yaml"


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the user asked for.

    Attributes:
        seconds: Time from ready to the end; 0 until Ctrl-C.
        json: Whether one JSON summary is all that goes to standard output.
        broker: Address of a broker; empty for one of the demo's own.
        config: Configuration file of the gateway.
        update: Whether an author publishes releases of the classifier.
    """

    seconds: float
    json: bool
    broker: str
    config: Path
    update: bool = False


def shipped_config() -> Path:
    """Return the shipped configuration: beside the package in a checkout, else in the working folder."""
    beside = Path(__file__).resolve().parents[2] / SHIPPED
    return beside if beside.is_file() else SHIPPED


def read_arguments(arguments: Sequence[str]) -> DemoOptions:
    """Read the command line.

    Raises:
        SystemExit: It is wrong (code 2) or help was asked for (code 0).
    """
    parser = argparse.ArgumentParser(
        prog="scripts/demo",
        description="Runs the gateway with three simulated sensors and shows what it finds.",
        epilog="Exit codes: 0 every sensor had results, and with --update every release ended as it should; "
        "1 something did not, or a part failed; 2 wrong arguments.",
    )
    parser.add_argument("--seconds", type=float, metavar="N", help="end N seconds after the gateway is ready")
    parser.add_argument("--json", action="store_true", help="print one JSON summary at the end, nothing else")
    parser.add_argument("--broker", metavar="URL", default="", help="use this broker: mqtt://HOST[:PORT]")
    parser.add_argument("--config", metavar="FILE", type=Path, help="use this gateway configuration")
    parser.add_argument(
        "--update",
        action="store_true",
        help="publish four releases of the classifier, one good and three bad, and end once they were judged",
    )
    given = parser.parse_args(arguments)
    if given.seconds is not None and not 0 < given.seconds < 1e6:
        parser.error("--seconds: a number above 0 is needed")
    if given.json and given.seconds is None and not given.update:
        parser.error("--json: needs --seconds or --update, as the summary comes at the end")
    config = given.config or shipped_config()
    if not config.is_file():
        parser.error(f"{config}: there is no such file; run this from the repository or give --config")
    return DemoOptions(given.seconds or 0.0, given.json, given.broker, config, given.update)
