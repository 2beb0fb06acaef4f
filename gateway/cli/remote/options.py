"""Options of ``gateway infer`` that are for a server; nothing heavy is imported for them."""

from __future__ import annotations

import argparse
from typing import Final

SCALINGS: Final = ("none", "unit", "symmetric")


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that are for a server."""
    group = parser.add_argument_group("with a server")
    group.add_argument(
        "--url",
        help="server to ask: http://HOST:PORT, https://..., unix:/PATH, grpc://HOST:PORT, grpcs://...",
    )
    group.add_argument("--model-version", default="", metavar="V", help="version to ask; the server's choice")
    group.add_argument("--classes", type=int, default=0, metavar="N", help="the N greatest elements alone")
    group.add_argument(
        "--scaling",
        choices=SCALINGS,
        default=SCALINGS[0],
        help="levels of a picture for a model of floats: 0 to 255, 0 to 1, or -1 to 1",
    )
    group.add_argument("--token-file", metavar="FILE", help="file that holds a bearer token")
    group.add_argument("--ca", default="", metavar="FILE", help="CA certificates (PEM) of the server's")
