"""Addresses and host names of peers: in one spelling, whose they are, which are one client. Pure."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Final

# A name without a dot is its own zone.
_LOCAL_ZONES: Final = frozenset({"localhost", "internal", "test"})
_HOST: Final = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9_.-]+))(?::[0-9]{1,5})?")
# Who has one address of IPv6 has as a rule all of a network of this size.
_V6_CLIENT_BITS: Final = 64
_LONGEST_HOST: Final = 300


@lru_cache(maxsize=1024)
def one_spelling(address: str) -> str:
    """Return an IP address in its short form; without zone, and IPv4 inside IPv6 as IPv4.

    What is no IP address comes back as it is.
    """
    parsed = _parsed(address)
    return address if parsed is None else str(parsed)


@lru_cache(maxsize=1024)
def is_loopback(address: str) -> bool:
    """Return whether an IP address never leaves the machine; False for what is no address."""
    parsed = _parsed(address)
    return parsed is not None and parsed.is_loopback


@lru_cache(maxsize=1024)
def client_of(address: str) -> str:
    """Return the name under which an address is limited: itself, or its network of IPv6."""
    parsed = _parsed(address)
    if isinstance(parsed, ipaddress.IPv6Address) and not parsed.is_loopback:
        return str(ipaddress.ip_network((int(parsed), _V6_CLIENT_BITS), strict=False))
    return address if parsed is None else str(parsed)


@lru_cache(maxsize=1024)
def names_this_machine(host: str, own_names: frozenset[str]) -> bool:
    """Return whether a ``host`` header can be that of a program of this machine.

    A page of a browser reaches loopback under a name of its own by making that name lead
    there (DNS rebinding); it cannot do so with an IP address, nor with a name that no public name server
    has: one without a dot, or below a zone that is kept for private use (RFC 6761).

    Args:
        host: Value of the header; empty for none, which no browser sends.
        own_names: Further names of this machine, in small letters.
    """
    if not host:
        return True
    match = _HOST.fullmatch(host) if len(host) <= _LONGEST_HOST else None
    if match is None:
        return False
    if match["v6"]:
        return _parsed(match["v6"]) is not None
    name = match["host"].lower().removesuffix(".")
    return (
        _parsed(name) is not None
        or "." not in name
        or name.rpartition(".")[2] in _LOCAL_ZONES
        or name in own_names
    )


def is_own_page(origin: str, host: str) -> bool:
    """Return whether a page that asks, named by ``origin``, came from the very ``host`` that it asks.

    Args:
        origin: Value of the header; empty for none, as programs that are no browsers send.
        host: Value of the ``host`` header.
    """
    if not origin:
        return True
    scheme, mark, place = origin.partition("://")
    return bool(mark and host) and scheme in {"http", "https"} and place.lower() == host.lower()


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed
