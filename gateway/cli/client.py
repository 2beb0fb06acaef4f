"""Asks a running gateway for its status, over the HTTP door that its configuration names."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

from gateway.errors import Malformed, NotReady, RequestRefused
from gateway.serving.address import Descriptor, UnixPath, format_address, parse_address
from gateway.serving.unix_socket import PathConnection

MAX_STATUS_BYTES = 64 << 20
TIMEOUT_S = 5.0

# What is listened on as "every address" is reached on this machine's own.
_ANY_ADDRESS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what to replace


def status_url(listen: str) -> str:
    """Return the URL of /status of a gateway that listens on ``listen``; unix:/PATH stands for itself.

    Raises:
        RequestRefused: It is no address, or a socket that somebody else opened: only a URL can say where.
    """
    try:
        address = parse_address(listen)
    except ValueError as error:
        raise RequestRefused(f"http.listen: {error}") from None
    if isinstance(address, Descriptor):
        raise RequestRefused(f"http.listen is {listen}: say where that is with --url")
    if isinstance(address, UnixPath):
        return listen
    host = _ANY_ADDRESS.get(address.host, address.host)
    return f"http://{format_address(host, address.port)}/status"


def fetch_status(url: str, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """Return the gateway's status (see docs/cli.md for its form).

    Args:
        url: ``http://HOST:PORT`` with or without the path, or ``unix:/PATH`` of a socket.
        timeout_s: Longest wait for each answer of the network.

    Raises:
        RequestRefused: The URL is not one.
        NotReady: Nobody answers there, or not with a status.
        Malformed: What answers is not a gateway.
    """
    connection, path = _connection(url, timeout_s)
    try:
        connection.request("GET", path, headers={"Accept": "application/json"})
        response = connection.getresponse()
        body = response.read(MAX_STATUS_BYTES + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        what = f"no gateway answers at {url[:200]}: {error}; is it running, with http.enabled?"
        raise NotReady(what) from None
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise NotReady(f"{url} answers {response.status} {response.reason}")
    return _status(body, url)


def _connection(url: str, timeout_s: float) -> tuple[http.client.HTTPConnection, str]:
    """Return the connection to ask over, and the page to ask for."""
    try:
        if url.startswith("unix:"):
            address = parse_address(url)
            assert isinstance(address, UnixPath)  # nothing else begins so, for ":" is in no host's name
            return PathConnection(address.path, timeout_s), "/status"
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise RequestRefused(f"{url[:200]!r} is not a URL: {error}") from None
    if parts.scheme != "http" or not host:
        raise RequestRefused(f"{url[:200]!r} is not a URL of the form http://HOST:PORT or unix:/PATH")
    return http.client.HTTPConnection(host, port, timeout=timeout_s), parts.path.rstrip("/") or "/status"


def _status(body: bytes, url: str) -> dict[str, Any]:
    if len(body) > MAX_STATUS_BYTES:
        raise Malformed(f"{url} answers more than {MAX_STATUS_BYTES} bytes")
    try:
        status = json.loads(body)
    except (ValueError, RecursionError):
        raise Malformed(f"{url} does not answer JSON: is it a gateway?") from None
    if not isinstance(status, dict) or not isinstance(status.get("sensors"), list):
        raise Malformed(f"{url} does not answer the status of a gateway")
    return status
