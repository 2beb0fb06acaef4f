"""What an application is told of a request: ASGI's scope, the same for every version of HTTP. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from gateway.errors import Malformed
from gateway.serving.asgi import Scope
from gateway.serving.http.field_checks import check_host

_VERSIONS: Final = {"version": "3.0", "spec_version": "2.4"}
_SCHEMES: Final = (b"http://", b"https://")


@dataclass(frozen=True, slots=True)
class Ends:
    """Both ends of a connection.

    Attributes:
        client: Address and port; None for a Unix socket.
        server: Address and port, or path and None.
        scheme: ``http`` or ``https``.
        extensions: ASGI's ``tls``, and ``gateway.local`` for a program of this machine.
    """

    client: tuple[str, int] | None
    server: tuple[str, int | None] | None
    scheme: str
    extensions: Mapping[str, Mapping[str, Any]]


def build_scope(
    ends: Ends, version: str, method: str, target: bytes, headers: list[tuple[bytes, bytes]]
) -> Scope:
    """Return the scope of one request.

    Args:
        ends: Of its connection.
        version: ``1.0``, ``1.1`` or ``2``.
        method: In capitals.
        target: As it came: a path with or without query, ``*``, or a whole URL.
        headers: Lower-case names and values. The host of a URL takes the place of theirs.

    Raises:
        Malformed: The target is none of these.
    """
    if not target.startswith(b"/"):
        target, host = _apart(target, method)
        if host:
            headers = [(b"host", host), *(header for header in headers if header[0] != b"host")]
    path, _, query = target.partition(b"#")[0].partition(b"?")
    return {
        "type": "http",
        "asgi": _VERSIONS,
        "http_version": version,
        "method": method,
        "scheme": ends.scheme,
        "path": unquote(path.decode("latin-1")) if b"%" in path else path.decode("latin-1"),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": headers,
        "client": ends.client,
        "server": ends.server,
        # An application may put words of its own into the mapping; the next request must not see them.
        "extensions": dict(ends.extensions),
    }


def _apart(target: bytes, method: str) -> tuple[bytes, bytes]:
    """Return path and query of a target that is no path alone, and its host; none for the asterisk."""
    lowered = target[:8].lower()
    for scheme in _SCHEMES:
        if lowered.startswith(scheme):
            rest = target[len(scheme) :].partition(b"#")[0]
            cut = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
            host, path = rest[:cut], rest[cut:]
            if not host or host.startswith(b":"):
                raise Malformed("the request's target is a URL without a host")
            check_host(host)
            return path if path.startswith(b"/") else b"/" + path, host
    if target == b"*" and method == "OPTIONS":
        return target, b""
    raise Malformed("the request's target must be a path that begins with /")
