"""Who is at the other end of an HTTP request: out of ASGI's scope. Pure.

What the listener says of the connection is taken as it is. What headers say of other peers
(``forwarded`` and its kin) is never believed; that they are there shows that a proxy asks for
somebody else, who is then no program of this machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from gateway.serving.access.networks import is_loopback, one_spelling
from gateway.serving.access.peer import Peer
from gateway.serving.asgi import Scope

LOCAL: Final = "gateway.local"
CHALLENGE: Final = b'Bearer realm="gateway"'
"""Value of the ``www-authenticate`` header that goes with every 401."""

_READ: Final = frozenset({b"authorization", b"host", b"origin"})
_FORWARDED: Final = frozenset(
    {b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"x-client-ip", b"via"}
)


def http_peer(scope: Scope) -> Peer:
    """Return who asks.

    Args:
        scope: Of a request. ``client`` is ASGI's (address, port), or None for a Unix socket. Of
            ``extensions``, ``gateway.local`` is there for a Unix socket (a mapping with ``uid``, if that
            is known), and ``tls`` for TLS, as ASGI's extension of that name says, with the names in the
            client's certificate under ``client_cert_names`` or its subject as ``client_cert_name``.
    """
    extensions: Mapping[str, Any] = scope.get("extensions") or {}
    client, local, tls = scope.get("client"), extensions.get(LOCAL), extensions.get("tls")
    # The kernel gives clients of Unix sockets no address; a server may show that as an empty one.
    address = one_spelling(str(client[0])) if client else ""
    is_unix = not address and bool(local or isinstance(local, Mapping))
    headers, is_forwarded = _wanted(scope["headers"])
    return Peer(
        address=address,
        is_local=is_unix or is_loopback(address),
        authorization=headers.get(b"authorization", ""),
        certificate=_certificate(tls) if isinstance(tls, Mapping) else (),
        uid=_uid(local) if is_unix else None,
        is_encrypted=tls is not None,
        is_forwarded=is_forwarded,
        host=headers.get(b"host", ""),
        origin=headers.get(b"origin", ""),
    )


def _wanted(headers: Iterable[tuple[bytes, bytes]]) -> tuple[dict[bytes, str], bool]:
    """Return the headers that say who asks, and whether a proxy's are among the others.

    One that came twice is joined, which nothing accepts.
    """
    found: dict[bytes, str] = {}
    is_forwarded = False
    for name, value in headers:
        if name in _READ:
            text = value.decode("latin-1")
            found[name] = f"{found[name]}, {text}" if name in found else text
        elif name in _FORWARDED:
            is_forwarded = True
    return found, is_forwarded


def _certificate(tls: Mapping[str, Any]) -> tuple[str, ...]:
    # A certificate that did not pass verification says nothing.
    if tls.get("client_cert_error"):
        return ()
    names = tls.get("client_cert_names") or ()
    subject = tls.get("client_cert_name")
    return tuple(str(name) for name in names) or ((str(subject),) if subject else ())


def _uid(local: object) -> int | None:
    uid = local.get("uid") if isinstance(local, Mapping) else None
    return uid if isinstance(uid, int) and not isinstance(uid, bool) else None
