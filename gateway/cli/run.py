"""``gateway run``: the daemon in the foreground."""

from __future__ import annotations

import argparse
import gc

from gateway.cli.settings_file import DEFAULT_FILE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        default=DEFAULT_FILE,
        help="configuration file (default: %(default)s)",
    )
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a plain key that wins over the file, such as mqtt.url=mqtt://broker; may be given again",
    )


def run(options: argparse.Namespace) -> int:
    """Run until told to stop.

    Raises:
        ConfigError: The file is wrong.
    """
    gc.disable()  # a sixth of the time that importing takes, and none of what is imported is garbage
    from gateway.daemon.main import main

    gc.freeze()
    gc.enable()
    return main(options.config, tuple(options.set))
