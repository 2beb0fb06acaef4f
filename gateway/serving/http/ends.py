"""Finds out who is at both ends of a connection: addresses, a Unix peer's user, a client's certificate."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping
from typing import Any, Final

from gateway.serving.access.networks import client_of, is_loopback
from gateway.serving.http.scope import Ends
from gateway.serving.unix_socket import user_of

LOCAL: Final = "gateway.local"
_VERSIONS: Final[Mapping[str, int]] = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}
# The kinds of names in a certificate, the most telling first.
_KINDS: Final = ("URI", "DNS", "email", "IP Address")
_SHORT: Final[Mapping[str, str]] = {
    "commonName": "CN",
    "countryName": "C",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "stateOrProvinceName": "ST",
}


def find_ends(transport: asyncio.Transport) -> Ends:
    """Return the ends of a connection that has been made, after its TLS handshake if it has one."""
    sock: socket.socket | None = transport.get_extra_info("socket")
    tls = _tls(transport.get_extra_info("ssl_object"))
    scheme = "https" if tls is not None else "http"
    extensions: dict[str, Mapping[str, Any]] = {} if tls is None else {"tls": tls}
    if sock is not None and sock.family == socket.AF_UNIX:
        extensions[LOCAL] = _user(sock)
        path = transport.get_extra_info("sockname")
        return Ends(None, (str(path), None), scheme, extensions)
    client, server = _pair(transport, "peername"), _pair(transport, "sockname")
    if client is not None and is_loopback(client[0]):
        extensions[LOCAL] = {}
    return Ends(client, server, scheme, extensions)


def origin(transport: asyncio.Transport) -> str:
    """Return whom a connection is counted for: an address, a /64 of IPv6; empty for this machine."""
    pair = _pair(transport, "peername")
    return "" if pair is None or is_loopback(pair[0]) else client_of(pair[0])


def _pair(transport: asyncio.Transport, which: str) -> tuple[str, int] | None:
    name = transport.get_extra_info(which)
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else None


def _user(sock: socket.socket) -> Mapping[str, int]:
    """Return the user at the other end of a Unix socket, as the kernel vouches for it."""
    try:
        return {"uid": user_of(sock)}
    except OSError:
        return {}


def _tls(connection: ssl.SSLObject | None) -> Mapping[str, Any] | None:
    """Return ASGI's extension ``tls``, with all names of the client's certificate besides."""
    if connection is None:
        return None
    certificate = connection.getpeercert() or {}
    encoded = connection.getpeercert(binary_form=True)
    return {
        "server_cert": None,
        "client_cert_chain": [ssl.DER_cert_to_PEM_cert(encoded)] if encoded else [],
        "client_cert_name": subject(certificate) or None,
        "client_cert_names": names(certificate),
        "client_cert_error": None,
        "tls_version": _VERSIONS.get(connection.version() or ""),
        "cipher_suite": None,
    }


def names(certificate: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names that a certificate gives its owner, the most telling first, each once."""
    alternative = certificate.get("subjectAltName", ())
    found = [value for kind in _KINDS for is_kind, value in alternative if is_kind == kind]
    found += [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    return tuple(dict.fromkeys(found))


def subject(certificate: Mapping[str, Any]) -> str:
    """Return the subject of a certificate in RFC 4514's form; empty for none."""
    parts = [
        "+".join(f"{_SHORT.get(k, k)}={_escaped(v)}" for k, v in p) for p in certificate.get("subject", ())
    ]
    return ",".join(reversed(parts))


def _escaped(value: str) -> str:
    plain = "".join(f"\\{c}" if c in '\\,+"<>;=' else c for c in value)
    if plain[:1] in {" ", "#"}:
        plain = "\\" + plain
    return plain[:-1] + "\\ " if plain.endswith(" ") and len(plain) > 1 else plain
