"""Who is at the other end of a call over gRPC: out of the plain values that its server gives. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import unquote

from gateway.serving.access.networks import is_loopback, one_spelling
from gateway.serving.access.peer import Peer

_FORWARDED: Final = frozenset({"forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"})
_SECURE: Final = (b"ssl", b"tls")


def rpc_peer(
    peer: str,
    metadata: Iterable[tuple[str, str | bytes]],
    auth_context: Mapping[str, Iterable[bytes]],
) -> Peer:
    """Return who calls.

    Args:
        peer: ``context.peer()``: ``ipv4:1.2.3.4:5``, ``ipv6:%5B::1%5D:5`` or ``unix:``.
        metadata: ``context.invocation_metadata()``, as pairs.
        auth_context: ``context.auth_context()``.
    """
    family, _, rest = peer.partition(":")
    is_unix = family in {"unix", "unix-abstract"}
    address = "" if is_unix else _address(rest)
    pairs = list(metadata)
    secure = any(kind in _SECURE for kind in auth_context.get("transport_security_type", ()))
    return Peer(
        address=address or ("" if is_unix else peer),
        is_local=is_unix or is_loopback(address),
        authorization=", ".join(_text(value) for name, value in pairs if name == "authorization"),
        certificate=_names(auth_context) if secure else (),
        is_encrypted=secure,
        is_forwarded=any(name in _FORWARDED for name, _ in pairs),
        origin=", ".join(_text(value) for name, value in pairs if name == "origin"),
    )


def _address(rest: str) -> str:
    """Return the address in ``1.2.3.4:5`` or ``[::1]:5``, whose brackets may be written as %5B and %5D."""
    place = unquote(rest)
    host = place[1:].partition("]")[0] if place.startswith("[") else place.rpartition(":")[0]
    return one_spelling(host)


def _names(auth_context: Mapping[str, Iterable[bytes]]) -> tuple[str, ...]:
    keys = ("x509_subject_alternative_name", "x509_common_name")
    names = [_text(value) for key in keys for value in auth_context.get(key, ())]
    return tuple(dict.fromkeys(name for name in names if name))


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace")
