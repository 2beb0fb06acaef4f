"""The broker's address as written in the configuration."""

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
    """Where to connect to.

    Attributes:
        host: Name or IP address, without brackets.
        port: TCP port.
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


def _is_host(host: str) -> bool:
    if ":" in host:
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True
    return _HOST_NAME.fullmatch(host) is not None
