"""Where to listen, as written in the configuration: HOST:PORT, unix:/PATH or fd://NUMBER.

Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from gateway.serving.access.networks import is_loopback

_PORT_LIMIT: Final = 65_536
_FORM: Final = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.%]+)\]|(?P<host>[^\s:/\[\]]*)):(?P<port>[0-9]{1,5})")
_UNIX: Final = re.compile(r"unix:(?P<path>/[^\0\n]*[^\0\n/])")
# What the kernel's address of a socket holds, with the zero that ends it.
_LONGEST_PATH_BYTES: Final = 107
_FD: Final = re.compile(r"fd://(?P<fd>[0-9]{1,4})")


@dataclass(frozen=True, slots=True)
class HostPort:
    """An address to bind.

    Attributes:
        host: Name or address; empty for every address of the machine.
        port: Port; 0 for any free one.
    """

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A listening socket that somebody else opened and handed over."""

    fd: int


@dataclass(frozen=True, slots=True)
class UnixPath:
    """A path of the file system to listen at."""

    path: str


def parse_address(text: str) -> HostPort | UnixPath | Descriptor:
    """Read an address.

    Raises:
        ValueError: It is none of the forms; the message says what is expected.
    """
    unix = _UNIX.fullmatch(text)
    if unix is not None:
        if len(unix["path"].encode("utf-8", "surrogatepass")) > _LONGEST_PATH_BYTES:
            raise ValueError(f"{text!r} is too long: a socket's path has at most {_LONGEST_PATH_BYTES} bytes")
        return UnixPath(unix["path"])
    handed_over = _FD.fullmatch(text)
    if handed_over is not None:
        return Descriptor(int(handed_over["fd"]))
    match = _FORM.fullmatch(text)
    if match is None or int(match["port"]) >= _PORT_LIMIT:
        raise ValueError(f"{text!r} is no address: write HOST:PORT, [IPV6]:PORT, unix:/PATH or fd://NUMBER")
    return HostPort(match["v6"] or match["host"] or "", int(match["port"]))


def is_open(address: HostPort | UnixPath | Descriptor) -> bool:
    """Return whether other machines reach who listens there, as far as the address can tell.

    A name other than ``localhost`` may lead anywhere, so it counts as open; of a socket that was
    handed over nothing is known before it is looked at.
    """
    if not isinstance(address, HostPort):
        return False
    return not (address.host.lower() == "localhost" or is_loopback(address.host))


def format_address(host: str, port: int) -> str:
    """Write an address as ``parse_address`` reads it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
