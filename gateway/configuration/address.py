"""Addresses as written in the configuration: the broker's URL, and where to listen."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_HOST_NAME = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*\.?"
)


class BadAddress(ValueError):
    """An address is not written as it must be; the message says what is."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect to or listen on.

    Attributes:
        host: Name or IP address, without brackets.
        port: TCP port, 0 for any free one (listening only).
        tls: Whether the connection is encrypted.
    """

    host: str
    port: int
    tls: bool = False

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine is reached."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def broker_address(url: str) -> Address:
    """Read ``mqtt://HOST[:PORT]`` or ``mqtts://HOST[:PORT]``.

    Raises:
        BadAddress: It is written otherwise.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadAddress(f"not a broker address: {error}") from None
    if parts.scheme not in _PORTS:
        raise BadAddress("write mqtt://HOST[:PORT], or mqtts://HOST[:PORT] for TLS")
    if parts.username is not None or parts.password is not None:
        raise BadAddress("user name and password have keys of their own: mqtt.username and mqtt.password")
    if parts.path not in ("", "/") or parts.query or parts.fragment or url.strip() != url:
        raise BadAddress("nothing may follow the host and port")
    if not host or not _is_host(host):
        raise BadAddress("needs a host name or IP address (an IPv6 address in brackets)")
    if port == 0:
        raise BadAddress("port 0 cannot be connected to")
    return Address(host, port if port is not None else _PORTS[parts.scheme], parts.scheme == "mqtts")


def listen_address(text: str) -> Address:
    """Read ``HOST:PORT`` or ``[IPV6]:PORT``; port 0 takes any free one.

    Raises:
        BadAddress: It is written otherwise.
    """
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%]{2,64})\]|([^\[\]:]{1,253})):([0-9]{1,5})", text)
    if match is None:
        raise BadAddress("write HOST:PORT, such as 127.0.0.1:8080, [::1]:8080 or 0.0.0.0:8080")
    host, port = match.group(1) or match.group(2), int(match.group(3))
    if not _is_host(host):
        raise BadAddress("needs a host name or IP address before the port")
    if port > 65_535:
        raise BadAddress("a port is at most 65535")
    return Address(host, port)


def _is_host(host: str) -> bool:
    if ":" in host:
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True
    return _HOST_NAME.fullmatch(host) is not None
