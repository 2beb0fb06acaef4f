"""Which configuration file a client command reads, and what it needs of it."""

from __future__ import annotations

import argparse
import os

from gateway.configuration.settings import Settings

DEFAULT_FILE = "/etc/gateway/gateway.yaml"


def add_config_argument(parser: argparse.ArgumentParser) -> None:
    """Declare ``-c FILE`` for a command that talks to a running gateway."""
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        help=f"configuration of the running gateway (default: {DEFAULT_FILE} if it is there)",
    )


def client_settings(file: str | None, *, needs_secrets: bool) -> Settings:
    """Return the settings of the running gateway; the defaults when no file is named and none is there.

    Args:
        file: The file that was named, if one was.
        needs_secrets: Whether a secret that cannot be resolved is an error.

    Raises:
        ConfigError: The file cannot be read, or is wrong.
    """
    from gateway.configuration.load import inspect, load

    if file is None:
        # Not Path.exists: before Python 3.12 it raises where one may not look into the folder.
        if not os.path.exists(DEFAULT_FILE):  # noqa: PTH110 - as above
            return Settings()
        file = DEFAULT_FILE
    if needs_secrets:
        return load(file, os.environ).settings
    # Whoever asks for the status need not be able to log in to the broker.
    return inspect(file, os.environ).settings
